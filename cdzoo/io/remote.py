"""Requests to servers that others name: limited in time and size, repeated, and without secrets in messages."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
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
            "GDAL_HTTP_LOW_SPEED_TIME": max(1, int(self.seconds - connect)),
            "GDAL_HTTP_LOW_SPEED_LIMIT": 1000,  # bytes per second
            "GDAL_HTTP_MAX_RETRY": 0,
            "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no requests for files beside the image
        }


class PassingError(Exception):
    """A failure of a server that may not happen again."""


def is_address(name: str) -> bool:
    """Return whether a name is an address that is read: `http://` or `https://`."""
    return name.lower().startswith(("http://", "https://"))


def shown(address: str) -> str:
    """Return an address without name, password, query and fragment, which may be a signature."""
    return mask_url(urlsplit(address)._replace(query="", fragment="").geturl() if is_address(address) else address)


def repeated(address: str, work: Callable[[int], T], limits: Limits) -> T:
    """Return `work(attempt)`; repeat it when it raises `PassingError`.

    Raises:
        InputError: All attempts failed.
    """
    for attempt in range(1 + limits.retries):
        if attempt:
            time.sleep(limits.delay * 2 ** (attempt - 1))
        try:
            return work(attempt)
        except PassingError as error:
            reason = error
    raise InputError(
        f"{shown(address)}: {reason}; gave up after {1 + limits.retries} attempts, each limited to {limits.seconds:g} s without "
        f"data, {limits.longest:g} s per request in all; try again later"
    ) from reason


def download(address: str, limits: Limits, most: int, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Return the status and the content of an address.

    Args:
        address: `http://` or `https://`.
        limits: Time and attempts.
        most: Largest number of bytes of a content that is whole; of a partial one (status 206), no more are read.
        headers: Headers of the request.

    Raises:
        InputError: The server cannot be reached, refuses, stalls or breaks off, or the content is larger.
    """

    def attempt(_: int) -> tuple[int, bytes]:
        try:
            return while_it_flows(lambda traffic: _request(address, limits, most, headers or {}, traffic), limits.seconds)
        except StalledError as error:
            raise PassingError(str(error)) from error

    return repeated(address, attempt, limits)


def _request(address: str, limits: Limits, most: int, headers: Mapping[str, str], traffic: Traffic) -> tuple[int, bytes]:
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "cdzoo", **headers})
        with urllib.request.urlopen(request, timeout=limits.seconds) as response:
            content = b""
            while len(content) <= most and (chunk := response.read(_CHUNK)):
                traffic.add(len(chunk))
                content += chunk
            if response.status == 200 and len(content) > most and not headers:
                raise InputError(f"{shown(address)}: larger than {most >> 20} MB; name the file that was meant")
            length = response.headers.get("Content-Length")
            if length is not None and len(content) < min(int(length), most):
                raise PassingError(f"the connection broke off after {len(content):,} of {int(length):,} bytes")
            return response.status, content
    except urllib.error.HTTPError as error:
        problem = f"the server answered {error.code} ({error.reason})"
        if error.code in _PASSING:
            raise PassingError(problem) from error
        hint = "check the address"
        if error.code in (401, 403):
            hint = "it needs a signed address, or its signature has expired: sign the item again, and pass the signed one"
        raise InputError(f"{shown(address)}: {problem}; {hint}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise PassingError(f"no answer ({reason or type(error).__name__})") from error
    except ValueError as error:
        raise InputError(f"{shown(address)}: not a valid address") from error
