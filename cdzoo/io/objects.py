"""Files on servers and in object stores (S3): their names for GDAL, and what tells a content from a later one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from cdzoo.errors import InputError
from cdzoo.io.files import PathLike
from cdzoo.io.remote import Limits, download, is_address, shown

_S3 = "s3://"
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True)
class Identity:
    """What a server states about the content of a file.

    Attributes:
        etag: Its tag; empty if it states none.
        modified: Day and time of the last change; empty if it states none.
        size: Number of bytes; empty if it states none.
    """

    etag: str
    modified: str
    size: str

    @property
    def is_known(self) -> bool:
        """Whether another content would have another identity."""
        return bool(self.etag or self.modified)


@dataclass(frozen=True)
class Start:
    """First bytes of a remote file, and its identity."""

    content: bytes
    identity: Identity


def is_remote(name: PathLike) -> bool:
    """Return whether a name is an address of a remote file: `http://`, `https://` or `s3://`."""
    return isinstance(name, str) and (is_address(name) or name.lower().startswith(_S3))


def remote_stem(address: str) -> str:
    """Return the name of a remote file without suffix, with characters that every file system takes."""
    path = unquote(urlsplit(address).path) if is_address(address) else address
    name = path.rstrip("/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    return re.sub(r"[^\w.-]", "_", stem)[:80].lstrip(".") or "image"


def gdal_name(address: str, opened: int) -> str:
    """Return the name of a remote file for GDAL.

    Args:
        address: Its address.
        opened: Number of times that it was opened. GDAL may remember that an address failed; a fragment, which is not sent, makes
            it another one.
    """
    if is_address(address):
        return f"/vsicurl/{address.partition('#')[0]}#{opened}"
    return f"/vsis3/{address[len(_S3) :]}"


def remote_start(address: str, limits: Limits, count: int) -> Start | None:
    """Request the first bytes of a remote file, of which some GDAL errors do not say why they cannot be read.

    Args:
        address: Its address.
        limits: Time and attempts.
        count: Number of bytes.

    Returns:
        None for a file of an object store that must be asked for with a signature, which GDAL alone makes.

    Raises:
        InputError: The server cannot be reached or refuses, or does not send parts of a file.
    """
    url = address if is_address(address) else _unsigned(address)
    if url is None:
        return None
    name = shown(address)
    status, content, headers = download(url, limits, count, {"Range": f"bytes=0-{count - 1}"}, name)
    if status != 206:
        raise InputError(f"{name}: the server does not send parts of a file (range requests); download it, and pass the file")
    size = headers.get("Content-Range", "").rpartition("/")[2]
    stated = (headers.get("ETag", ""), headers.get("Last-Modified", ""), size if size.isdigit() else "")
    return Start(content, Identity(*stated))


def without_secrets(text: str, address: str) -> str:
    """Return a text without an address, which may be signed, and without the keys of an object store."""
    text = text.replace(address.partition("#")[0], "the image")
    for secret in filter(None, map(os.environ.get, _SECRETS)):
        text = text.replace(secret, "***")
    return text


def _unsigned(address: str) -> str | None:
    """Return the address at which a public file of an object store is; None if requests are signed."""
    bucket, _, key = address[len(_S3) :].partition("/")
    if not bucket or not key:
        raise InputError(f"{address}: no file of an object store; pass s3://BUCKET/NAME")
    if not _is_on("AWS_NO_SIGN_REQUEST", False):
        return None
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    host = os.environ.get("AWS_S3_ENDPOINT") or f"s3.{region}.amazonaws.com"
    scheme = "https" if _is_on("AWS_HTTPS", True) else "http"
    host = host.partition("://")[2] or host
    if _is_on("AWS_VIRTUAL_HOSTING", True):
        return f"{scheme}://{bucket}.{host}/{quote(key)}"
    return f"{scheme}://{host}/{bucket}/{quote(key)}"


def _is_on(variable: str, default: bool) -> bool:
    """Return the value of an option of GDAL in the environment."""
    value = os.environ.get(variable, "").upper()
    return default if not value else value in ("YES", "TRUE", "ON", "1")
