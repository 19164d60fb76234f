"""Hubs and download servers that answer anything, over bare sockets."""

import json
import socket
import threading

import numpy as np
import pytest

import cdzoo.weights.hub
from cdzoo.data.download import fetch
from cdzoo.errors import CdzooError

DATA = bytes(range(256)) * 20
COMMIT = "0123456789" * 4
NAMES = (
    "../../../evil",
    "/abs/evil",
    "..",
    "a/b",
    "x" * 300,
    "",
    '"',
    "\x1b[2J",
    "é",
    "C:\\evil",
    "0" * 40,
    COMMIT,
    "a b",
    "%2e%2e%2fevil",
)
STATUS = (200, 200, 200, 206, 204, 301, 302, 401, 404, 416, 429, 500, 503, 999)
LENGTHS = (str(len(DATA)), "-1", "0", "1e9", "9" * 30, "", "abc", str(len(DATA) + 1))
RANGES = (
    "bytes 0-9/10",
    f"bytes 100-{len(DATA) - 1}/{len(DATA)}",
    "bytes */0",
    "bytes 5-1/3",
    "rubbish",
    f"bytes 100-99999/{len(DATA)}",
)
BODIES = (DATA, b"", b"{}", b"[]", b"null", b'{"siblings": 3}', b"\xff", json.dumps([{"path": "../evil"}]).encode(), DATA[:100])


class Server:
    """Answers each connection with what `answer(request)` returns, then closes it."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.answer = lambda request: b""
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(2)
                    connection.sendall(self.answer(connection.recv(1 << 16)))
                except OSError:
                    pass


@pytest.fixture
def server():
    made = Server()
    yield made
    made.socket.close()


def odd_answer(rng, request, body=None):
    """Return an answer with odd headers, or none at all."""

    def one(values):
        return values[rng.integers(len(values))]

    if rng.integers(12) == 0:
        return rng.bytes(int(rng.integers(60)))
    headers = {
        "ETag": one([f'"{name}"' for name in NAMES]),
        "X-Repo-Commit": one(NAMES),
        "Location": one(("/", "//[", "ftp://x/", "")),
    }
    headers |= {
        "Content-Range": one(RANGES),
        "Retry-After": one(("0", "-1", "x")),
        "X-Linked-ETag": one(NAMES),
        "Link": one(NAMES),
    }
    headers |= {
        "Last-Modified": one(NAMES),
        "X-Linked-Size": one(LENGTHS),
        "X-Error-Code": one(("RepoNotFound", "EntryNotFound", "")),
    }
    kept = [name for name in headers if rng.integers(2)]
    body = one(BODIES) if body is None else body
    length = str(len(body)) if rng.integers(2) else one(LENGTHS)
    lines = [
        f"HTTP/1.1 {one(STATUS)} x",
        f"Content-Length: {length}",
        "Connection: close",
        *(f"{key}: {headers[key]}" for key in kept),
    ]
    head = "\r\n".join(lines) + "\r\n\r\n"
    return head.encode("utf-8") + (b"" if request.startswith(b"HEAD") else body)


def test_downloads(fuzz, server, monkeypatch):
    """A download that ends well, resumed or not, has the bytes that the server sent as a whole, or that it said to go on with."""

    def one_round(rng, folder):
        server.answer = lambda request: odd_answer(rng, request, DATA)
        if rng.integers(2):
            (folder / "f.part").write_bytes(DATA[: int(rng.integers(len(DATA) + 2))])
            note = {"url": f"{server.url}/f", "validator": f'"{NAMES[rng.integers(len(NAMES))]}"', "total": len(DATA)}
            (folder / "f.part.json").write_text(json.dumps([note, {}, [], None, {**note, "total": "x"}][rng.integers(5)]))
        fetch(f"{server.url}/f", folder / "f", progress=False, pause=0)
        assert DATA.startswith((folder / "f").read_bytes())

    assert set(fuzz(one_round, 60)) == {"done", "refused"}


def test_hubs(fuzz, hub, server, monkeypatch):
    """Files of the client appear in its cache only."""
    import huggingface_hub.constants as constants

    for name in ("cdzoo.weights.hub.TRIES", "huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT"):
        monkeypatch.setattr(name, 1)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}")
    good = {"ETag": f'"{"ab" * 20}"', "X-Repo-Commit": COMMIT, "Content-Length": str(len(DATA)), "Connection": "close"}

    def one_round(rng, folder):
        def answer(request):
            if rng.integers(4) == 0:
                return odd_answer(rng, request)
            head = "\r\n".join(["HTTP/1.1 200 OK", *(f"{key}: {value}" for key, value in good.items())])
            return f"{head}\r\n\r\n".encode() + (b"" if request.startswith(b"HEAD") else DATA)

        server.answer = answer
        cache = folder / "cache"
        try:
            for name in ("config.json", "model.safetensors"):
                cdzoo.weights.hub.download(f"o/n{['', '@main', f'@{COMMIT}'][rng.integers(3)]}", name, cache_dir=cache)
        finally:
            outside = [path for path in folder.rglob("*") if path.is_file() and cache not in path.parents]
            assert not outside

    assert set(fuzz(one_round, 40)) == {"done", "refused"}


def test_revisions(fuzz):
    characters = np.array(list("ab01./-_@{}\\:~^ \x1b\0é%"))

    def one_round(rng, folder):
        revision = "".join(rng.choice(characters, int(rng.integers(1, 9))))
        try:
            cdzoo.weights.hub.split_source(f"o/n@{revision}")
        except CdzooError:
            return "refused"
        inside = (folder / "refs" / revision).resolve()
        assert (folder / "refs") in inside.parents and inside.relative_to(folder / "refs").as_posix() == revision
        return "taken"

    assert set(fuzz(one_round, 300)) == {"refused", "taken"}
