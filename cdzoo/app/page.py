"""`build_page`: the page as Gradio blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio_client.utils import is_http_url_like

from cdzoo.app.handlers import Handlers
from cdzoo.app.inputs import SUFFIXES, Limits
from cdzoo.app.session import Sessions
from cdzoo.app.view import VIEWS
from cdzoo.app.weights import WeightsMenu

STYLE = Path(__file__).with_name("page.css")
_HEIGHT = "clamp(260px, 90vw, 540px)"  # of the pictures, also on a phone
_START = "<p class='cdzoo-notes'>Upload two images and press Detect change, or try the example pair.</p>"
_PRIVATE: dict[str, Any] = {"api_visibility": "private"}  # no part of the documented API


class _Inputs(NamedTuple):
    """Components with which a pair and its weights are chosen."""

    before: gr.File
    after: gr.File
    weights: gr.Dropdown
    card: gr.HTML
    bands: gr.Textbox
    value_range: gr.Textbox
    run: gr.Button
    stop: gr.Button
    example: gr.Button


class _Results(NamedTuple):
    """Components that show what was found."""

    compared: gr.ImageSlider
    view: gr.Radio
    maps: gr.Dropdown
    threshold: gr.Slider
    text: gr.HTML
    prepare: gr.Button
    files: gr.File
    facts: gr.JSON


def build_page(weights: WeightsMenu, sessions: Sessions, limits: Limits, notice: str = "") -> gr.Blocks:
    """Return the page.

    Args:
        weights: Weights to choose from.
        sessions: Sessions of the visitors.
        limits: Largest inputs.
        notice: Further sentence below the title, in Markdown.
    """
    handlers = Handlers(weights, sessions, limits)
    with gr.Blocks(title="cdzoo: change between two images", analytics_enabled=False, delete_cache=(600, 86_400)) as blocks:
        gr.Markdown(
            "# Change between two images\nTwo images of one place, taken at different dates: photographs (PNG, JPEG) that show "
            f"the same ground pixel by pixel, or GeoTIFFs, which are brought to one grid. {notice}"
        )
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                inputs = _inputs(handlers)
            with gr.Column(scale=3, min_width=320):
                results = _results(handlers)
        _connect(handlers, inputs, results)
        blocks.unload(handlers.leave)
    return blocks


def _inputs(handlers: Handlers) -> _Inputs:
    names = handlers.weights.names
    upload: dict[str, Any] = {"type": "filepath", "file_types": list(SUFFIXES), "height": 110, "elem_classes": "cdzoo-upload"}
    before = gr.File(label="Before: first date", elem_id="before", **upload)
    after = gr.File(label="After: second date", elem_id="after", **upload)
    for one in (before, after):
        _take_files_only(one)
    with gr.Row():
        run = gr.Button("Detect change", variant="primary", elem_id="detect", min_width=140)
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop", min_width=140)
        example = gr.Button("Try an example pair", elem_id="example", min_width=140)
    weights = gr.Dropdown(names, value=names[0], label="Weights", elem_id="weights")
    card = gr.HTML(handlers.card(names[0]), elem_id="card")
    with gr.Accordion("Options: bands, range of values", open=False):
        bands = gr.Textbox("", label="Bands that the model receives", placeholder="all, or for example 4, 3, 2")
        span = gr.Textbox(
            "",
            label="Values for black and white",
            placeholder="for example 0, 4095",
            info="If empty, images of 8 bits are used as they are, and others are stretched between percentiles 2 and 98.",
        )
    return _Inputs(before, after, weights, card, bands, span, run, stop, example)


def _take_files_only(upload: gr.File) -> None:
    """Refuse addresses instead of files, which the server would download."""
    receive = upload.async_move_resource_to_block_cache

    async def receive_file(path: str | Path | None) -> str | None:
        if is_http_url_like(str(path)):
            raise gr.Error("Upload a file; addresses are not taken.", print_exception=False)
        return await receive(path)

    upload.async_move_resource_to_block_cache = receive_file


def _results(handlers: Handlers) -> _Results:
    label = "Before on the left; drag the line"
    compared = gr.ImageSlider(label=label, interactive=False, height=_HEIGHT, elem_id="compared", buttons=["fullscreen"])
    with gr.Row():
        view = gr.Radio([*VIEWS], value=next(iter(VIEWS)), label="Right side", elem_id="view")
        maps = gr.Dropdown([], label="Map", visible=False, elem_id="maps")
    threshold = gr.Slider(
        0.01,
        0.99,
        value=handlers.default_threshold(handlers.weights.names[0]),
        step=0.005,
        label="Threshold: minimum probability of change",
        elem_id="threshold",
        buttons=[],
    )
    text = gr.HTML(_START, elem_id="summary")
    prepare = gr.Button("Prepare files", visible=False, elem_id="prepare")
    files = gr.File(label="Files", file_count="multiple", interactive=False, visible=False, elem_id="files")
    return _Results(compared, view, maps, threshold, text, prepare, files, gr.JSON(visible=False, label="facts"))


def _connect(handlers: Handlers, inputs: _Inputs, results: _Results) -> None:
    """Connect the components. Predictions run one at a time, as does the writing of files; what is shown waits for neither."""
    pair = [inputs.before, inputs.after]
    shown = [results.compared, results.text, results.maps, results.files, results.prepare]
    for upload, preview in ((inputs.before, handlers.preview_before), (inputs.after, handlers.preview_after)):
        gr.on(
            [upload.upload, upload.clear], preview, pair, shown, trigger_mode="always_last", show_progress="minimal", **_PRIVATE
        )
    inputs.weights.input(handlers.choose, inputs.weights, [inputs.card, results.threshold], show_progress="hidden", **_PRIVATE)
    example = inputs.example.click(handlers.example, None, pair, show_progress="minimal", **_PRIVATE)
    buttons = [inputs.run, inputs.stop, inputs.example]
    choices = [results.threshold, results.view, results.maps]
    for trigger, visibility in ((inputs.run.click, "public"), (example.success, "private")):
        started = trigger(handlers.started, None, buttons, queue=False, **_PRIVATE)
        detected = started.then(
            handlers.detect,
            [*pair, inputs.weights, results.threshold, inputs.bands, inputs.value_range],
            [results.facts, results.files],
            api_name="detect" if visibility == "public" else None,
            api_visibility=visibility,
            concurrency_id="network",
            concurrency_limit=1,
            show_progress_on=results.compared,
        )
        detected.then(handlers.ended, None, buttons, queue=False, **_PRIVATE)
        detected.success(handlers.show, choices, shown, show_progress="hidden", **_PRIVATE)
    inputs.stop.click(handlers.stop, None, None, queue=False, **_PRIVATE)
    gr.on(
        [results.threshold.input, results.view.input, results.maps.input],
        handlers.show,
        choices,
        shown,
        trigger_mode="always_last",
        show_progress="hidden",
        concurrency_id="view",
        concurrency_limit=2,
        **_PRIVATE,
    )
    written = results.prepare.click(
        handlers.write,
        results.threshold,
        [results.facts, results.files],
        api_name="threshold",
        concurrency_id="files",
        concurrency_limit=1,
        show_progress_on=results.prepare,
    )
    written.success(handlers.show, choices, shown, show_progress="hidden", **_PRIVATE)
