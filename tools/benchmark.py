"""`python tools/benchmark.py ...` is `cdzoo benchmark ...`, for running from a checkout."""

import sys

from cdzoo.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
