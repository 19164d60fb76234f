"""Requests to servers that others name: limited in time and size, repeated, and without secrets in messages."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from cdzoo.errors import InputError, mask_url
from cdzoo.io.network import StalledError, Traffic, while_it_flows

T = TypeVar("T")
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # status codes after which a later attempt may succeed
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Limits:
    """What a server is allowed.

    Attributes:
        seconds: Time in which a request must be answered, or make progress.
        retries: Further attempts after one that failed.
        delay: Seconds before the first of them, doubled for each next one.
    """

    seconds: float = 15.0
    retries: int = 2
    delay: float = 1.0

    @property
    def longest(self) -> float:
        """Seconds until a request to a silent server fails."""
        return self.seconds * (1 + self.retries) + self.delay * (2**self.retries - 1)

    @property
    def gdal(self) -> dict[str, str | int]:
        """Options of GDAL for these limits; it does not repeat requests itself, as `repeated` does."""
        connect = self.seconds / 3
        return {
            "GDAL_HTTP_CONNECTTIMEOUT": f"{connect:g}",
            "GDAL_HTTP_LOW_SPEED_TIME": max(1, int(0.4 * self.seconds)),  # GDAL asks a silent server up to three times
            "GDAL_HTTP_LOW_SPEED_LIMIT": 1000,  # bytes per second
            "GDAL_NUM_THREADS": 1,  # errors of requests in other threads are lost, and pixels are 0 then
            "GDAL_HTTP_MAX_RETRY": 0,
            "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no requests for files beside the image
            "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",  # GDAL forgets what it read, or that it failed, at the next opening
        }


class PassingError(Exception):
    """A failure of a server that may not happen again."""


class Answer(NamedTuple):
    """Answer of a server.

    Attributes:
        status: Status code.
        content: Content, or its start.
        headers: Headers.
    """

    status: int
    content: bytes
    headers: Mapping[str, str]


def is_address(name: str) -> bool:
    """Return whether a name is an address that is read: `http://` or `https://`."""
    return name.lower().startswith(("http://", "https://"))


def shown(address: str) -> str:
    """Return an address without name, password, query and fragment, which may be a signature; other names as they are."""
    return mask_url(urlsplit(address)._replace(query="", fragment="").geturl()) if is_address(address) else address


def repeated(name: str, work: Callable[[int], T], limits: Limits) -> T:
    """Return `work(attempt)` on a file of a name; repeat it when it raises `PassingError`.

    There is no further attempt if one as long as the last would take more than `limits.longest` in all.

    Raises:
        InputError: All attempts failed.
    """
    start = time.monotonic()
    for attempt in range(1 + limits.retries):
        began = time.monotonic()
        try:
            return work(attempt)
        except PassingError as error:
            reason, delay, now = error, limits.delay * 2**attempt, time.monotonic()
        # A tenth for the time that is measured and not waited.
        if attempt == limits.retries or (now - start) + delay + (now - began) > 1.1 * limits.longest:
            break
        time.sleep(delay)
    attempts = f"{attempt + 1} attempt{'s' if attempt else ''}"
    raise InputError(
        f"{name}: {reason}; gave up after {attempts}, each limited to {limits.seconds:g} s without data, {limits.longest:g} s "
        "per request in all; try again later"
    ) from reason


def download(
    address: str, limits: Limits, most: int, headers: Mapping[str, str] | None = None, name: str | None = None
) -> Answer:
    """Return what a server answers for an address.

    Args:
        address: `http://` or `https://`.
        limits: Time and attempts.
        most: Largest number of bytes of a content that is whole; of a partial one (status 206), no more are read.
        headers: Headers of the request.
        name: Name of the file in messages; by default its address.

    Raises:
        InputError: The server cannot be reached, refuses, stalls or breaks off, or the content is larger.
    """
    label = shown(address) if name is None else name

    def attempt(_: int) -> Answer:
        try:
            return while_it_flows(lambda traffic: _request(address, label, limits, most, headers or {}, traffic), limits.seconds)
        except StalledError as error:
            raise PassingError(str(error)) from error

    return repeated(label, attempt, limits)


def _request(address: str, label: str, limits: Limits, most: int, headers: Mapping[str, str], traffic: Traffic) -> Answer:
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "cdzoo", **headers})
        with urllib.request.urlopen(request, timeout=limits.seconds) as response:
            content = b""
            while len(content) <= most and (chunk := response.read(_CHUNK)):
                traffic.add(len(chunk))
                content += chunk
            if response.status == 200 and len(content) > most and not headers:
                raise InputError(f"{label}: larger than {most >> 20} MB; name the file that was meant")
            length = response.headers.get("Content-Length")
            if length is not None and len(content) < min(int(length), most):
                raise PassingError(f"the connection broke off after {len(content):,} of {int(length):,} bytes")
            return Answer(response.status, content, response.headers)
    except urllib.error.HTTPError as error:
        problem = f"the server answered {error.code} ({error.reason})"
        if error.code in _PASSING:
            raise PassingError(problem) from error
        hint = "check the address"
        if error.code in (401, 403):
            hint = "it needs a signed address, or its signature has expired: sign the item or address again, and pass that"
        raise InputError(f"{label}: {problem}; {hint}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise PassingError(f"no answer ({reason or type(error).__name__})") from error
    except ValueError as error:
        raise InputError(f"{label}: not a valid address") from error
