"""`python tools/predict.py ...` is `cdzoo predict ...`, for running from a checkout."""

import sys

from cdzoo.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
