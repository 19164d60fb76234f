"""`serve`: the page on this machine, until it is interrupted."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cdzoo.app.inputs import Limits
from cdzoo.errors import InputError, require

if TYPE_CHECKING:
    from cdzoo.app.session import Sessions
    from cdzoo.app.weights import WeightsMenu

LOCAL = "127.0.0.1"
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-ancestors 'self'"
)
_OFFLINE = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",  # a page of Gradio that can store runs elsewhere
    "GRADIO_SHARE": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def stay_offline() -> None:
    """Set the environment variables by which Gradio and huggingface_hub send nothing; before either is imported."""
    os.environ.update(_OFFLINE)
    for name in ("no_proxy", "NO_PROXY"):  # Gradio asks itself whether it runs
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), LOCAL, "localhost")))
    require("gradio", "app", "the page")
    require("rasterio", "app", "the page")


def launch_options(limits: Limits) -> dict[str, Any]:
    """Return the arguments of `Blocks.launch` that the page needs on any host."""
    import gradio as gr

    from cdzoo.app.page import STYLE

    fonts: dict[str, Any] = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # of the browser
    theme = gr.themes.Default(primary_hue="blue", **fonts)
    return {
        "max_file_size": f"{limits.megabytes}mb",
        "theme": theme.set(body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400"),
        "css": STYLE.read_text(encoding="utf-8"),
        "footer_links": ["api"],
        "ssr_mode": False,
        "share": False,
        "quiet": True,
    }


def serve(
    sources: Iterable[str] = (),
    host: str = LOCAL,
    port: int | None = None,
    limits: Limits | None = None,
    device: Any = "cpu",
    framed: bool = False,
    report: Callable[..., None] = print,
) -> None:
    """Show the page until the process is interrupted or terminated; all files of visitors are removed then.

    Args:
        sources: Weights, see `WeightsMenu`.
        host: Address to listen at: `127.0.0.1` for this machine alone, `0.0.0.0` for all of its networks.
        port: Port; the first free one from 7860 by default.
        limits: Largest inputs.
        device: Device of the models.
        framed: Whether pages of other hosts may show this one in a frame, and what they load, as a Hugging Face Space does.
        report: Called with the lines to print, as `print` is.

    Raises:
        InputError: The address or port cannot be used.
        CdzooError: Weights cannot be loaded.
        MissingDependencyError: Gradio or rasterio is not installed.
    """
    stay_offline()
    from cdzoo.app.session import Sessions
    from cdzoo.app.weights import WeightsMenu

    limits = limits or Limits()
    menu, sessions = WeightsMenu(sources, device), Sessions()
    ended = threading.Event()
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
    page = None
    try:
        page, url = start(menu, sessions, limits, host, port, framed)
        report(f"the page is at {url}", flush=True)
        if host == LOCAL:
            report("for this machine only; --host 0.0.0.0 shows it to others on your network", flush=True)
        else:
            report("anyone who reaches this address can use it; traffic is not encrypted", flush=True)
        report("press Ctrl-C to end it", flush=True)
        ended.wait()
    finally:
        if page is not None:
            page.close(verbose=False)
        sessions.close()


def start(
    menu: WeightsMenu, sessions: Sessions, limits: Limits, host: str = LOCAL, port: int | None = None, framed: bool = False
) -> tuple[Any, str]:
    """Start the page in a thread, and return it with its address.

    Args:
        menu: Weights to choose from.
        sessions: Sessions of the visitors, in whose folder all files are kept.
        limits: Largest inputs.
        host: Address to listen at.
        port: Port; the first free one from 7860 by default.
        framed: See `serve`.

    Raises:
        InputError: The address or port cannot be used.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(sessions.folder)
    from starlette.middleware import Middleware

    from cdzoo.app.page import build_page

    page = build_page(menu, sessions, limits)
    page.queue(max_size=32)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            app_kwargs={} if framed else {"middleware": [Middleware(_Policy)]},
            **launch_options(limits),
        )
    except OSError as error:
        where = f"port {port}" if port else "a port from 7860 on"
        raise InputError(f"{host}: {where} cannot be used ({error}); pass another --port or --host") from error
    name = _own_address() if host in ("0.0.0.0", "::") else host
    return page, f"http://{name}:{page.server_port}"


class _Policy:
    """Adds a policy by which browsers load nothing from elsewhere."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(event: Any) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event.get("headers", ()), (b"content-security-policy", _POLICY.encode())]
            await send(event)

        await self.app(scope, receive, with_policy if scope["type"] == "http" else send)


def _own_address() -> str:
    """Return the address of this machine on its network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 1))  # a datagram socket only chooses its route
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
