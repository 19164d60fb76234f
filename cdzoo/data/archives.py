"""Safe unpacking of archives: nothing outside of the folder, no bombs, and nothing damaged passes for good."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from cdzoo.errors import InputError
from cdzoo.io.files import check_new_folder
from cdzoo.io.outputs import exclusive

_LARGEST_RATIO = 200
_LARGEST_FREE = 1 << 30
_SMALLEST_FILE = 4096
"""Bytes that a file needs at least on a disk: they bound the number of empty files in an archive."""
_LARGEST_HEADER = 1 << 24
_BLOCK = 1 << 20
_COMPRESSIONS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"\x5d\x00\x00": lzma.open}


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip or tar archive to a new folder, atomically.

    If the archive contains a single folder, the content of that folder is unpacked.

    Raises:
        InputError: `folder` exists, or the archive is damaged, cut off, empty, of another format, has paths outside `folder`,
            links or devices, or unpacks to more than 200 times its size.
    """
    check_new_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.part")
    with exclusive(folder):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            # A tar archive may end with a zip archive, which is then found where zip archives keep their table.
            if not _untar(archive, temporary) and not _unzip(archive, temporary):
                raise InputError(f"{archive}: neither a zip nor a tar archive, or damaged at its beginning or end")
            members = list(temporary.iterdir())
            if not members:
                raise InputError(f"{archive}: the archive contains no files; download it again")
            (members[0] if len(members) == 1 and members[0].is_dir() else temporary).replace(folder)
        except InputError:
            raise
        except Exception as error:  # damaged archives end in errors of any type in the decoders
            if isinstance(error, OSError) and error.errno is not None:
                raise InputError(f"{archive}: cannot be unpacked to {folder}: {error.strerror}") from error
            raise InputError(f"{archive}: the archive is damaged or encrypted ({error}); download it again") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _unzip(archive: Path, folder: Path) -> bool:
    """Unpack a zip archive; return False for other files."""
    if not zipfile.is_zipfile(archive):
        return False
    with zipfile.ZipFile(archive) as source:
        # The upper bits of external_attr are the type of the file; 0o12 is a symbolic link.
        members = ((member.filename, member.file_size, member.external_attr >> 28 != 0o12) for member in source.infolist())
        for _ in _checked(archive, members):
            pass
        source.extractall(folder)
    return True


def _untar(archive: Path, folder: Path) -> bool:
    """Unpack a tar archive; return False for other files."""
    with archive.open("rb") as start:
        magic = start.read(6)
    opened = next((opener for sign, opener in _COMPRESSIONS.items() if magic.startswith(sign)), open)
    with opened(archive, "rb") as stream:
        if not _is_tar(stream):
            return False
        _extract(archive, stream, folder)
    return True


def _is_tar(stream: IO[bytes]) -> bool:
    try:
        tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), tarfile.ENCODING, "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _extract(archive: Path, stream: IO[bytes], folder: Path) -> None:
    stream.seek(0)
    with tarfile.open(fileobj=cast(Any, _SmallReads(stream)), mode="r:") as source:
        # Checked one by one as they are found: listing all members first would decompress a bomb to its end.
        described = ((member.name, member.size, member.isfile() or member.isdir()) for member in source)
        for _ in _checked(archive, described):
            pass
        for member in source.getmembers():
            member.mode = 0o755 if member.isdir() else 0o644
        if hasattr(tarfile, "data_filter"):  # Python 3.10.12, 3.11.4 and later; older versions rely on the checks above alone
            source.extraction_filter = tarfile.data_filter
        source.extractall(folder)
        _check_end(stream, source.offset)


class _SmallReads:
    """Stream without large reads: the reader of tar archives takes headers of any declared size into memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.stream.read(size)


def _check_end(stream: IO[bytes], offset: int) -> None:
    """Raise unless a tar archive has its end mark where the reader stopped, and nothing but padding after it.

    The reader of tar archives stops in silence at a damaged header. Reading to the end of the stream also verifies the checksum
    that compressed files have there.
    """
    stream.seek(offset)
    length = 0
    while block := stream.read(_BLOCK):
        length += len(block)
        if block.strip(b"\0"):
            raise tarfile.ReadError("a header is damaged")
    if length < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("the end is missing")


def _checked(archive: Path, members: Iterable[tuple[str, int, bool]]) -> Iterator[None]:
    """Go through members, each given as name, size and whether it is a file or folder; raise for one not to be unpacked."""
    total = 0
    for name, size, regular in members:
        if not regular:
            raise InputError(f"{archive}: '{name}' is a link or a device; archives with such members are not unpacked")
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
            raise InputError(f"{archive}: '{name}' would be written outside the folder; the archive is not trusted")
        total += max(size, 0) + _SMALLEST_FILE
        if total > max(_LARGEST_FREE, _LARGEST_RATIO * archive.stat().st_size):
            raise InputError(
                f"{archive}: unpacks to more than {total / 2**30:.1f} GiB, {_LARGEST_RATIO} times its size; it is not trusted"
            )
        yield
