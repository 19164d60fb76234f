"""Hashes of the content of samples, by which a run recognizes the data that it was started with."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from cdzoo.data.sample import as_sample
from cdzoo.io.images import image_files
from cdzoo.io.placement import label_files
from cdzoo.io.rasters import raster_files

_BLOCK = 1 << 20
_BLOCKS = 64
"""Files of up to this number of blocks are read whole, of larger ones this number of blocks, evenly spread."""


def content_hashes(samples: Any) -> dict[str, str]:
    """Return a hash of all images and one of all masks, which do not depend on folders, names or times of change.

    Of data sets of files, the bytes of the files are hashed (`image files`, `mask files`), of lists and tuples the values of the
    tensors (`images`, `masks`). Other data sets may compute what they return, so they have no hashes.

    Args:
        samples: Samples of a split.
    """
    if files := getattr(samples, "files", None):
        images, labels = zip(*files, strict=True)
        flat = [file for paths in images for path in paths for file in stored_files(path)]
        masks = [file for paths in labels for path in paths for file in label_files(path)]
        with ThreadPoolExecutor(8) as pool:
            digests = list(pool.map(file_digest, [*flat, *masks]))
        return {"image files": _joined(digests[: len(flat)]), "mask files": _joined(digests[len(flat) :])}
    if isinstance(samples, list | tuple):
        converted = [as_sample(item) for item in samples]
        return {
            "images": _joined(tensor_digest(image) for sample in converted for image in sample.images),
            "masks": _joined(tensor_digest(values) for sample in converted for values in sample.target.values()),
        }
    return {}


def stored_files(path: Path) -> list[Path]:
    """Return the files that an image is stored in: also those that a VRT names."""
    return [part for file in image_files(path) for part in (raster_files(file) if file.suffix.lower() == ".vrt" else [file])]


def file_digest(path: Path) -> bytes:
    """Return the hash of a file; of a large one, of its size and parts of it."""
    found = path.stat()
    return _content(str(path.resolve()), found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@functools.lru_cache(maxsize=1 << 20)
def _content(path: str, size: int, *changed: int) -> bytes:
    """Return the hash of a file, remembered within this process until the file changes."""
    digest = hashlib.sha256(str(size).encode())
    count = -(-size // _BLOCK)
    step = max(1.0, count / _BLOCKS)
    with open(path, "rb") as file:
        for number in range(min(count, _BLOCKS)):
            # The last block ends with the file, where compressed formats have their checksums.
            start = int(number * step) * _BLOCK if number < _BLOCKS - 1 else max(0, size - _BLOCK)
            file.seek(start)
            digest.update(file.read(_BLOCK))
    return digest.digest()


def tensor_digest(values: Any) -> bytes:
    """Return the hash of the type, shape and values of a tensor."""
    array = torch.as_tensor(values).detach().cpu().contiguous()
    header = f"{array.dtype} {tuple(array.shape)}".encode()
    return hashlib.sha256(header + array.flatten().view(torch.uint8).numpy().tobytes()).digest()


def _joined(digests: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(digests)).hexdigest()
