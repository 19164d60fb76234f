"""`Session`: files and the last detection of one visitor, apart from those of others."""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory, mkdtemp

from PIL import Image

from cdzoo.app.detection import Detection
from cdzoo.io.images import UInt8

_MAX_AGE = 24 * 3600  # seconds
_KEPT_PICTURES = 3  # that a browser may still be loading


class Session:
    """Folder and last detection of one visitor. Its name is random, so that others do not find it.

    Attributes:
        folder: Folder of all files but the uploads.
        uploads: Uploaded files. Visitors who upload equal files share them.
        detection: Last detection; None before the first.
        runs: Number of predictions that were started.
        stopped: Set to stop the prediction that runs.
    """

    def __init__(self, root: Path) -> None:
        self.folder = Path(mkdtemp(dir=root))
        self.uploads: set[Path] = set()
        self.detection: Detection | None = None
        self.stopped = threading.Event()
        self.runs = 0
        self.used = time.monotonic()
        self._pictures: deque[Path] = deque()

    def reset(self) -> None:
        """Forget the last detection and remove its files."""
        self.stopped.clear()
        if self.detection is not None:
            shutil.rmtree(self.detection.folder, ignore_errors=True)
            self.detection = None

    def new_folder(self) -> Path:
        """Return a new folder."""
        return Path(mkdtemp(dir=self.folder))

    def save_pictures(self, pair: Iterable[UInt8]) -> tuple[str, ...]:
        """Write pictures (h, w, 3) that are shown, remove those that are no longer, and return their files."""
        folder = self.new_folder()
        self._pictures.append(folder)
        while len(self._pictures) > _KEPT_PICTURES:
            shutil.rmtree(self._pictures.popleft(), ignore_errors=True)
        files = []
        for name, pixels in zip(("left", "right"), pair, strict=True):
            files.append(str(folder / f"{name}.webp"))
            Image.fromarray(pixels).save(files[-1], quality=90)
        return tuple(files)

    def close(self) -> None:
        """Stop the prediction that runs, and remove all files but the uploads."""
        self.stopped.set()
        self.detection = None
        shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """Sessions of all visitors. Their files are in a temporary folder that is removed when the program ends."""

    def __init__(self) -> None:
        self._root = TemporaryDirectory(prefix="cdzoo_app_", ignore_cleanup_errors=True)
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Folder of all files, also of those that Gradio keeps."""
        return Path(self._root.name)

    def get(self, key: str | None) -> Session:
        """Return the session of a visitor, known by the random key of the browser tab; sessions of yesterday are closed.

        Without a key, the session is a new one that nobody returns to.
        """
        now, key = time.monotonic(), key or token_hex()
        with self._lock:
            for old in [other for other, session in self._open.items() if now - session.used > _MAX_AGE]:
                self._close(old)
            if key not in self._open:
                self._open[key] = Session(self.folder)
            session = self._open[key]
            session.used = now
            return session

    def end(self, key: str | None) -> None:
        """Close the session of a visitor who left, and remove all files of theirs."""
        with self._lock:
            if key is not None:
                self._close(key)

    def close(self) -> None:
        """Close all sessions and remove the folder."""
        with self._lock:
            for key in [*self._open]:
                self._close(key)
        self._root.cleanup()

    def _close(self, key: str) -> None:
        session = self._open.pop(key, None)
        if session is None:
            return
        session.close()
        shared = {file for other in self._open.values() for file in other.uploads}
        for file in session.uploads - shared:
            file.unlink(missing_ok=True)
