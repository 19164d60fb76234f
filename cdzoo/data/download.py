"""Resumable downloads with checksums, and safe unpacking of archives."""

from __future__ import annotations

import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

from tqdm import tqdm

from cdzoo.errors import InputError
from cdzoo.io.files import check_new_folder, file_sha256

_BLOCK = 1 << 20
_TRIES = 5
_LARGEST_RATIO = 200
_LARGEST_FREE = 1 << 30


def fetch(url: str, target: Path, sha256: str | None = None, progress: bool = True, pause: float = 1.0) -> Path:
    """Download a file. After an interruption, the next call resumes from `TARGET.part`.

    Args:
        url: Address that begins with `http://` or `https://`.
        target: File to write, in an existing folder.
        sha256: Expected checksum.
        progress: Show a progress bar.
        pause: Seconds before the first retry; doubled after each retry.

    Returns:
        `target`.

    Raises:
        InputError: The address is invalid, the server reports a client error, five attempts fail, or the checksum is wrong, in
            which case the file is removed.
    """
    if urlparse(url).scheme not in ("http", "https"):
        raise InputError(f"{url}: expected an address that begins with http:// or https://")
    part = target.with_name(target.name + ".part")
    for attempt in range(_TRIES):
        try:
            _continue(url, part, progress)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise InputError(f"{url}: the server reports {error.code} {error.reason}; check the address") from error
            reason = f"{error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            reason = str(error)
        if attempt == _TRIES - 1:
            raise InputError(f"{url}: {_TRIES} attempts failed, the last with: {reason}. Run the command again to resume")
        time.sleep(pause * 2**attempt)
    if sha256 is not None and (found := file_sha256(part)) != sha256.lower():
        part.unlink()
        raise InputError(f"{url}: the file has the sha256 {found}, expected {sha256}; it was removed; download it again")
    part.replace(target)
    return target


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip or tar archive to a new folder, atomically.

    If the archive contains a single folder, the content of that folder is unpacked.

    Raises:
        InputError: `folder` exists, or the archive is damaged, of another format, has paths outside `folder`, links or devices,
            or unpacks to more than 200 times its size.
    """
    check_new_folder(folder)
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, temporary)
        elif tarfile.is_tarfile(archive):
            _untar(archive, temporary)
        else:
            raise InputError(f"{archive}: neither a zip nor a tar archive")
        members = list(temporary.iterdir())
        (members[0] if len(members) == 1 and members[0].is_dir() else temporary).replace(folder)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError) as error:
        raise InputError(f"{archive}: the archive is damaged or encrypted ({error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _continue(url: str, part: Path, progress: bool) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # the file is complete, or has changed, which the checksum detects
            return
        raise
    with answer:
        if have and answer.status != 206:  # the server does not resume: it sends the whole file
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        look: dict[str, Any] = {"desc": part.name.removesuffix(".part"), "dynamic_ncols": True, "disable": not progress}
        with part.open("ab" if have else "wb") as file, tqdm.wrapattr(file, "write", total, initial=have, **look) as output:
            shutil.copyfileobj(answer, output, _BLOCK)
    if total is not None and part.stat().st_size < total:
        raise OSError(f"the connection ended after {part.stat().st_size} of {total} bytes")


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        # The upper bits of external_attr are the type of the file; 0o12 is a symbolic link.
        _check(archive, ((member.filename, member.file_size, member.external_attr >> 28 != 0o12) for member in source.infolist()))
        source.extractall(folder)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as source:
        _check(archive, ((member.name, member.size, member.isfile() or member.isdir()) for member in source.getmembers()))
        for member in source.getmembers():
            member.mode = 0o755 if member.isdir() else 0o644
        if hasattr(tarfile, "data_filter"):  # Python 3.10.12, 3.11.4 and later; older versions rely on the checks above alone
            source.extraction_filter = tarfile.data_filter
        source.extractall(folder)


def _check(archive: Path, members: Iterable[tuple[str, int, bool]]) -> None:
    """Raise if a member, given as its name, its size and whether it is a file or folder, must not be unpacked."""
    total = 0
    for name, size, regular in members:
        if not regular:
            raise InputError(f"{archive}: '{name}' is a link or a device; archives with such members are not unpacked")
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
            raise InputError(f"{archive}: '{name}' would be written outside the folder; the archive is not trusted")
        total += size
    if total > max(_LARGEST_FREE, _LARGEST_RATIO * archive.stat().st_size):
        raise InputError(
            f"{archive}: unpacks to {total / 2**30:.1f} GiB, {_LARGEST_RATIO} times its size; the archive is not trusted"
        )
