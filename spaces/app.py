"""The page of `cdzoo app` as a Hugging Face Space; `python spaces/app.py` shows it on this machine."""

import os

from cdzoo.app.inputs import Limits
from cdzoo.app.server import LOCAL, serve

WEIGHTS: tuple[str, ...] = ()
"""Weights to offer before those of the package, such as `"local-dir:run"` for a folder of this Space."""

if __name__ == "__main__":
    # A Space names the address at which it is reached, and shows the page in a frame.
    serve(WEIGHTS, os.environ.get("GRADIO_SERVER_NAME", LOCAL), limits=Limits(megabytes=50, megapixels=16), framed=True)
