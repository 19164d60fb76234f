"""`python -m cdzoo` is the console script `cdzoo`."""

import sys

from cdzoo.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
