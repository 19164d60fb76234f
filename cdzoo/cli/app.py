"""`cdzoo app`."""

from __future__ import annotations

from cdzoo.cli.common import model_source, pick_device
from cdzoo.errors import ConfigError


def app(
    weights: list[str] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    device: str = "auto",
    max_upload: int = 2000,
    max_pixels: int = 200,
) -> None:
    """Show a page in the browser that maps the change between two images. Files stay on this machine.

    The page has upload fields, a choice of weights, a comparison of both dates with a slider for the threshold, and files to
    download: maps, polygons and a report.

    Args:
        weights: Weights to offer beside those of the package: folders of runs, tags (MODEL.TAG), .onnx files.
        host: Address to listen at; 0.0.0.0 shows the page to others on your network.
        port: Port; the first free one from 7860 by default.
        device: auto, cpu, cuda or mps.
        max_upload: Largest file that the page takes, in megabytes.
        max_pixels: Largest image that the page takes, in millions of pixels.
    """
    if max_upload < 1 or max_pixels < 1:
        raise ConfigError(f"--max-upload and --max-pixels must be at least 1, got {max_upload} and {max_pixels}")
    if port is not None and not 1 <= port <= 65_535:
        raise ConfigError(f"--port must be between 1 and 65535, got {port}")
    from cdzoo.app.inputs import Limits
    from cdzoo.app.server import serve

    sources = [model_source(name) for name in weights or ()]
    serve(sources, host, port, Limits(max_upload, max_pixels), pick_device(device))
