"""`python tools/train.py ...` is `cdzoo train ...`, for running from a checkout."""

import sys

from cdzoo.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
