"""`python tools/flops.py ...` is `cdzoo flops ...`, for running from a checkout."""

import sys

from cdzoo.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["flops", *sys.argv[1:]]))
