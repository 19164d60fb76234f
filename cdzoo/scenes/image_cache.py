"""`ImageCache`: copies of remote images on the disk of a machine, shared by its processes."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from cdzoo.errors import InputError
from cdzoo.io.files import PathLike
from cdzoo.io.outputs import exclusive
from cdzoo.scenes.outputs import writing

CACHE_GB = 20.0
"""Size of the cache of a machine by default."""
_OWN = ("images", "use_", "lock")  # starts of the names in the folder
_WAIT = 0.5  # seconds between looks for room


@dataclass(frozen=True)
class CachedImage:
    """Part of a remote image.

    Attributes:
        key: Hash of its address, content and place; None if the server does not tell whether the content changed, so that a copy
            is used once.
        name: Name of the file.
        size: Number of bytes that it has at most.
        fetch: Writes it to a path, which has the whole file afterwards, or none.
    """

    key: str | None
    name: str
    size: int
    fetch: Callable[[Path], None]


@dataclass(frozen=True)
class CacheCfg:
    """Folder and size of an `ImageCache`, which each machine of a cluster has for itself."""

    folder: str | None = None
    gigabytes: float | None = CACHE_GB


class ImageCache:
    """Folder with copies of remote images.

    An image is fetched once for all processes that need it, also at the same time. What no process needs any more is removed,
    longest unused first, when room is needed for others. Each process has hard links to what it uses in a folder of its own,
    which a later one removes if its process ended without doing so.

    Args:
        folder: Folder of the local file system; by default one of the user in that of temporary files.
        gigabytes: Room for the images; None for as much as they need.

    Raises:
        InputError: The folder belongs to somebody else, or has other files.
    """

    def __init__(self, folder: PathLike | None = None, gigabytes: float | None = CACHE_GB) -> None:
        if gigabytes is not None and not gigabytes > 0:
            raise InputError(f"a cache of {gigabytes:g} GB: pass a size above 0")
        user = os.getuid() if hasattr(os, "getuid") else "user"
        self.folder = Path(folder or Path(tempfile.gettempdir()) / f"cdzoo_images_{user}")
        self._most = None if gigabytes is None else int(gigabytes * 1e9)
        with writing(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.folder / "images").mkdir(exist_ok=True)
            others = [file for file in self.folder.iterdir() if not file.name.startswith(_OWN)]
        if others:
            raise InputError(f"{self.folder}: has files other than those of a cache ({others[0].name}); choose another folder")
        if hasattr(os, "getuid") and self.folder.stat().st_uid != os.getuid():
            raise InputError(f"{self.folder}: belongs to another user; choose another folder for the cache")

    @contextmanager
    def files(self, images: Sequence[CachedImage]) -> Iterator[list[Path]]:
        """Yield the path of each image, which is valid until the end of the block.

        Raises:
            InputError: The images have no room together, or cannot be fetched.
        """
        with ExitStack() as stack:
            with self._locked():
                own = Path(tempfile.mkdtemp(prefix=f"use_{os.getpid()}_", dir=self.folder))
                stack.enter_context(exclusive(own))
                stack.callback(shutil.rmtree, own, ignore_errors=True)
            targets = [own / str(number) / image.name for number, image in enumerate(images)]
            left = self._reserve(own, images, targets)
            for image, target in zip(images, targets, strict=True):
                if not target.exists():
                    self._fetch(image, target)
                    left -= image.size
                    _set_reserve(own, left)
            yield targets

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _locked(self, name: str = "") -> FileLock:
        return FileLock(self.folder / f"lock{name}")

    def _entry(self, image: CachedImage) -> Path | None:
        return None if image.key is None else self.folder / "images" / f"{image.key}.tif"

    def _fetch(self, image: CachedImage, target: Path) -> None:
        entry = self._entry(image)
        with ExitStack() as stack:
            if entry is not None:
                stack.enter_context(self._locked(f"_{entry.name[:2]}"))  # few files: an image may wait for another one
                if _link(entry, target):
                    return
            image.fetch(target)
            if entry is not None:
                _link(target, entry)

    def _reserve(self, own: Path, images: Sequence[CachedImage], targets: Sequence[Path]) -> int:
        """Link what is in the cache, and reserve room for the others, whose size is returned; wait for it with nothing linked."""
        needed = sum(image.size for image in images)
        if self._most is not None and needed > self._most:
            raise InputError(
                f"{self.folder}: the images of a scene have up to {needed / 1e9:.3g} GB, and the cache {self._most / 1e9:.3g} "
                "GB; choose a larger size (--cache-size), or a smaller part of the scene"
            )
        for target in targets:
            target.parent.mkdir()
        while True:
            with self._locked():
                pairs = [*zip(images, targets, strict=True)]
                lacking = sum(image.size for image, target in pairs if not _link(self._entry(image), target))
                if self._make_room(lacking):
                    _set_reserve(own, lacking)
                    return lacking
                for target in targets:
                    target.unlink(missing_ok=True)
            time.sleep(_WAIT)

    def _make_room(self, needed: int) -> bool:
        """Remove what is not used, longest unused first, until there is room; return whether there is."""
        for own in self.folder.glob("use_*"):
            if not own.name.startswith(f"use_{os.getpid()}_"):
                with suppress(InputError, OSError), exclusive(own):  # a process that ended holds no lock
                    shutil.rmtree(own)
        if self._most is None:
            return True
        states: dict[Path, os.stat_result] = {}
        for folder, _, names in os.walk(self.folder):  # which goes on when another process removes a folder
            for file in (Path(folder, name) for name in names if name[0] != "."):
                with suppress(FileNotFoundError):
                    states[file] = file.stat()
        used = sum({(state.st_dev, state.st_ino): state.st_size for state in states.values()}.values())
        free = [file for file in states if file.parent.name == "images" and states[file].st_nlink == 1]
        for file in sorted(free, key=lambda one: states[one].st_mtime):
            if used + needed <= self._most:
                break
            file.unlink()
            used -= states[file].st_size
        return used + needed <= self._most


def _link(file: Path | None, target: Path) -> bool:
    """Give a file another name, and note that it was used now; return whether it exists."""
    if file is None or not file.exists():
        return False
    os.utime(file)
    try:
        os.link(file, target)
    except OSError:  # a file system without links
        shutil.copyfile(file, target)
    return True


def _set_reserve(own: Path, size: int) -> None:
    """Note how many bytes a process is going to write: as the size of a file that takes no place."""
    with (own / "reserved").open("wb") as file:
        file.truncate(size)
