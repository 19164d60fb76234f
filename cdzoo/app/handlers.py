"""`Handlers`: the functions behind the page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gradio as gr

from cdzoo.app.detection import SIDE, detect, facts
from cdzoo.app.example import write_example
from cdzoo.app.inputs import Limits, check_upload, preview, read_values
from cdzoo.app.session import Session, Sessions
from cdzoo.app.view import VIEWS, message, pictures, summary, weights_card
from cdzoo.app.weights import WeightsMenu
from cdzoo.errors import CdzooError, InputError
from cdzoo.inference.resolve import resolve_threshold
from cdzoo.inference.weights import summarize_weights

_NO_RESULT = "Nothing was detected yet: upload two images of one place and press Detect change."


class _Stopped(Exception):
    """The visitor stopped the prediction, or left."""


@contextmanager
def _messages(*files: str | None) -> Iterator[None]:
    """Show errors of invalid input as a message; the page goes on."""
    try:
        yield
    except CdzooError as error:
        raise gr.Error(message(error, *files), duration=None, title="Cannot do this", print_exception=False) from None


class Handlers:
    """Functions behind the page. Those with a `request` know the visitor by it.

    Args:
        weights: Weights to choose from.
        sessions: Sessions of the visitors.
        limits: Largest inputs.
    """

    def __init__(self, weights: WeightsMenu, sessions: Sessions, limits: Limits) -> None:
        self.weights, self.sessions, self.limits = weights, sessions, limits

    def preview_before(self, before: str | None, after: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Return what to show after the first date was chosen or removed."""
        return self._preview(before, after, request.session_hash)

    def preview_after(self, before: str | None, after: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Return what to show after the second date was chosen or removed."""
        return self._preview(after, before, request.session_hash, swapped=True)

    def card(self, name: str) -> str:
        """Return what is known about weights, as HTML."""
        return weights_card(summarize_weights(self.weights.load(name)))

    def default_threshold(self, name: str) -> float:
        """Return the threshold of weights."""
        return resolve_threshold(self.weights.load(name), None)

    def choose(self, name: str) -> tuple[str, float]:
        """Return what is known about weights, and their threshold."""
        with _messages():
            return self.card(name), self.default_threshold(name)

    @staticmethod
    def started() -> tuple[Any, Any, Any]:
        """Return the buttons to detect, to stop and for the example, while a prediction runs."""
        return gr.update(interactive=False), gr.update(visible=True), gr.update(visible=False)

    @staticmethod
    def ended() -> tuple[Any, Any, Any]:
        """Return the same buttons after a prediction."""
        return gr.update(interactive=True), gr.update(visible=False), gr.update(visible=True)

    def detect(
        self,
        before: str | None,
        after: str | None,
        weights: str,
        threshold: float | None,
        bands: str,
        value_range: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  # how Gradio finds it
    ) -> tuple[dict[str, Any], list[str]]:
        """Detect the change between two images; return facts about it, and its files."""
        session = self.sessions.get(request.session_hash)
        session.reset()
        session.runs += 1
        progress(0, desc="Detecting change")

        def on_progress(share: float) -> None:
            if session.stopped.is_set():
                raise _Stopped
            progress(share, desc="Detecting change" if share < 1 else "Writing files")

        with _messages(before, after):
            if before is None or after is None:
                raise InputError("upload two images of one place: the first date, and the second date")
            values = read_values(bands, value_range)
            files = [self._received(session, path) for path in (before, after)]
            model = self.weights.load(weights)
            limit = resolve_threshold(model, threshold)
            try:
                session.detection = detect(model, files[0], files[1], session.new_folder(), values, limit, on_progress)
            except _Stopped:
                raise gr.Error("The detection was stopped.", title="Stopped", print_exception=False) from None
            return self._facts(session.detection, limit), [str(file) for file in session.detection.files()]

    def show(self, threshold: float, view: str, name: str | None, request: gr.Request) -> tuple[Any, ...]:
        """Return slider, text, choice of maps, files and the button to write them, for a threshold of the last detection."""
        session = self.sessions.get(request.session_hash)
        detection = session.detection
        if detection is None:
            return tuple(gr.skip() for _ in range(5))
        with _messages():
            found = detection.overview(threshold)
            names = [*detection.model.task.maps]
            name = name if name in names else names[0]
            choices = [(one.replace("_", " "), one) for one in names]
            same = threshold == detection.written
            return (
                session.save_pictures(pictures(detection, found, VIEWS[view], name)),
                summary(detection, found, threshold),
                gr.update(choices=choices, value=name, visible=len(names) > 1),
                gr.update(visible=same, value=[str(file) for file in detection.files()] if same else None),
                gr.update(visible=not same, value=f"Prepare files for threshold {threshold:g}"),
            )

    def write(
        self,
        threshold: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[dict[str, Any], list[str]]:
        """Write the files of the last detection for another threshold, without the network; return facts, and the files."""
        detection = self.sessions.get(request.session_hash).detection
        progress(0, desc="Writing files")
        with _messages():
            if detection is None:
                raise InputError(_NO_RESULT)
            files = detection.write(resolve_threshold(detection.model, threshold))
            return self._facts(detection, threshold), [str(file) for file in files]

    def example(self) -> tuple[str, str]:
        """Return both dates of the example pair."""
        folder = self.sessions.folder / "example"
        folder.mkdir(exist_ok=True)
        before, after = write_example(folder)
        return str(before), str(after)

    def stop(self, request: gr.Request) -> None:
        """Stop the prediction of a visitor."""
        self.sessions.get(request.session_hash).stopped.set()

    def leave(self, request: gr.Request) -> None:
        """Remove the files of a visitor who left."""
        self.sessions.end(request.session_hash)

    def _preview(self, newest: str | None, other: str | None, key: str | None, swapped: bool = False) -> tuple[Any, ...]:
        """Return the slider with both images, if both can be used, and empty results; raise if the newest one cannot."""
        session, pair = self.sessions.get(key), None
        session.reset()
        runs = session.runs
        with _messages(newest):
            if newest is not None:
                shown = preview(self._received(session, newest), SIDE)
                if other is not None:
                    with suppress(CdzooError):  # was answered when it was uploaded
                        given = (shown, preview(self._received(session, other), SIDE))
                        pair = session.save_pictures(given[::-1] if swapped else given)
        if session.runs != runs:  # a prediction started, whose result is shown
            return tuple(gr.skip() for _ in range(5))
        hidden = gr.update(visible=False)
        return pair, "", hidden, gr.update(visible=False, value=None), hidden

    def _received(self, session: Session, path: str) -> Path:
        """Return an uploaded image after checking it, and remember it among those of the visitor."""
        if Path(path).is_relative_to(self.sessions.folder):
            session.uploads.add(Path(path))
        return check_upload(path, self.limits)

    @staticmethod
    def _facts(detection: Any, threshold: float) -> dict[str, Any]:
        return facts(detection, detection.overview(threshold), threshold)
