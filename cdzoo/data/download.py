"""Resumable downloads with checksums."""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cdzoo.errors import InputError, mask_url
from cdzoo.io.files import file_sha256, write_json
from cdzoo.io.network import StalledError, Traffic, while_it_flows
from cdzoo.io.outputs import exclusive
from cdzoo.io.progress import tqdm

_BLOCK = 1 << 20
_TRIES = 5
_TIMEOUT = 10
"""Seconds without a byte after which a connection is broken, and tried again."""


class _BrokenError(Exception):
    """The download did not arrive as it should; a further attempt may succeed."""


def fetch(url: str, target: Path, sha256: str | None = None, progress: bool = True, pause: float = 1.0) -> Path:
    """Download a file. After an interruption, the next call resumes from `TARGET.part` if the file is the same on the server.

    It is the same if its ETag or its date is; without them, the file is only resumed if its checksum is known.

    Args:
        url: Address that begins with `http://` or `https://`; may contain a name and a password.
        target: File to write, in an existing folder.
        sha256: Expected checksum; a file that has it is not downloaded again.
        progress: Show a progress bar.
        pause: Seconds before the first retry; doubled after each retry.

    Returns:
        `target`.

    Raises:
        InputError: The address is invalid, the server reports a client error, five attempts fail, the server sends next to
            nothing for 15 seconds, the file cannot be written, or the checksum is wrong, in which case the file is removed.
    """
    shown = _check_address(url)
    if sha256 is not None and target.is_file() and file_sha256(target) == sha256.lower():
        return target
    part = target.with_name(f"{target.name}.part")
    with exclusive(part):
        if sha256 is None or not part.is_file() or file_sha256(part) != sha256.lower():
            download = _Download(url, part, sha256 is not None, progress)
            try:
                while_it_flows(lambda traffic: _persist(download, shown, pause, traffic))
            except StalledError as error:
                raise InputError(f"{shown}: {error}; run the command again to resume, or use another address") from error
            if sha256 is not None and (found := file_sha256(part)) != sha256.lower():
                download.discard()
                raise InputError(
                    f"{shown}: the file has the sha256 {found}, expected {sha256}; it was removed; download it again"
                )
        part.replace(target)
        _note_of(part).unlink(missing_ok=True)
    return target


def _persist(download: _Download, shown: str, pause: float, traffic: Traffic) -> None:
    for attempt in range(_TRIES):
        try:
            download.attempt(traffic)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise InputError(f"{shown}: the server reports {error.code} {error.reason}; check the address") from error
            reason = f"{error.code} {error.reason}"
        except _BrokenError as error:
            reason = str(error)
        if attempt < _TRIES - 1:
            time.sleep(pause * 2**attempt)
    raise InputError(f"{shown}: {_TRIES} attempts failed, the last with: {reason}. Run the command again to resume")


class _Download:
    """A file on a server and the part of it that is here.

    Args:
        url: Address.
        part: File of what was received. A note beside it says of which file on the server it is a part.
        verified: Whether the whole file will be verified, so that a part of unknown origin may be continued.
        progress: Show a progress bar.
    """

    def __init__(self, url: str, part: Path, verified: bool, progress: bool) -> None:
        self.url, self.part, self.note, self.verified, self.progress = url, part, _note_of(part), verified, progress

    def discard(self) -> None:
        """Remove the part."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def attempt(self, traffic: Traffic) -> None:
        """Receive the rest of the file, or all of it."""
        have = self.part.stat().st_size if self.part.exists() else 0
        known = self._known()
        start = have if have and (known["validator"] or self.verified) else 0
        # Of a complete part the last byte is asked for again: what comes back tells whether it is still the same file.
        start -= 1 if start and start == known["total"] else 0
        with self._open(start, known["validator"] if start else None) as answer:
            total = self._total(answer, start, known)
            start = start if answer.status == 206 else 0
            self._write_note(answer.headers, total)
            self._receive(answer, start, total, traffic)

    def _known(self) -> dict[str, Any]:
        """Return the validator (ETag or date) and the size of the file that the part belongs to; None if unknown."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if note["url"] == mask_url(self.url):
                return {"validator": note["validator"], "total": note["total"]}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {"validator": None, "total": None}

    def _open(self, start: int, validator: str | None) -> HTTPResponse:
        parts = urlsplit(self.url)
        login, _, host = parts.netloc.rpartition("@")
        request = urllib.request.Request(parts._replace(netloc=host, fragment="").geturl())
        if login:  # a header that does not follow redirections to other hosts
            request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(unquote(login).encode()).decode()}")
        if start:
            request.add_header("Range", f"bytes={start}-")
        if validator:
            request.add_header("If-Range", validator)
        try:
            return urllib.request.urlopen(request, timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code == 416 and start:
                self.discard()
                raise _BrokenError("the file on the server is smaller than what was received of it earlier") from error
            raise
        except Exception as error:  # an answer that is not HTTP ends in errors of many types
            raise _BrokenError(str(error) or type(error).__name__) from error

    def _total(self, answer: HTTPResponse, start: int, known: Mapping[str, Any]) -> int | None:
        """Return the size of the file, None if the server does not say it; raise unless the answer is what was asked for."""
        if answer.status == 200:  # the whole file, also where the server does not resume or the file has changed
            length = answer.headers.get("Content-Length", "")
            return int(length) if length.isdecimal() else None
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if answer.status != 206 or not start or found is None:
            self.discard()
            raise _BrokenError(f"the server answers {answer.status} without the bytes that were asked for")
        total = int(found[2]) + 1
        validator = _validator(answer.headers)
        before = known["validator"]
        changed = before is not None and validator != before and (validator is not None or before.startswith('"'))
        if int(found[1]) != start or found[3] not in ("*", str(total)) or known["total"] not in (None, total) or changed:
            self.discard()
            raise _BrokenError("the server sends other bytes than were asked for, or of another file")
        return total

    def _write_note(self, headers: Any, total: int | None) -> None:
        write_json(self.note, {"url": mask_url(self.url), "validator": _validator(headers), "total": total})

    def _receive(self, answer: HTTPResponse, start: int, total: int | None, traffic: Traffic) -> None:
        look: dict[str, Any] = {"desc": self.part.stem, "dynamic_ncols": True, "disable": not self.progress}
        with self.part.open("r+b" if start else "wb") as file, tqdm.wrapattr(file, "write", total, initial=start, **look) as out:
            file.seek(start)
            file.truncate()
            while block := _read(answer):
                traffic.add(len(block))
                out.write(block)
        size = self.part.stat().st_size
        if total is not None and size != total:
            raise _BrokenError(f"the connection ended after {size} of {total} bytes")


def _read(answer: HTTPResponse) -> bytes:
    try:
        return answer.read1(_BLOCK)
    except Exception as error:
        raise _BrokenError(str(error) or type(error).__name__) from error


def _validator(headers: Any) -> str | None:
    """Return what identifies a version of a file for `If-Range`: its ETag unless that is weak, or its date."""
    etag = headers.get("ETag", "")
    return etag if re.fullmatch(r'"[\x21\x23-\x7e]*"', etag) else headers.get("Last-Modified")


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _check_address(url: str) -> str:
    """Return an address without its secrets, for messages.

    Raises:
        InputError: It is no address of a file on a server.
    """
    shown = mask_url(url)
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise InputError(f"{shown}: expected an address that begins with http:// or https://, with special characters as %XX")
    return shown
