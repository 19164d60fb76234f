"""Downloads from a local server that fails in several ways."""

import hashlib
import io
import json
import socket
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cdzoo.cli.main import main
from cdzoo.data.download import fetch
from cdzoo.errors import InputError

DATA = bytes(range(256)) * 4000
SIZE = len(DATA)
SUM = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.seen.append(self.headers.get("Range"))
        server.logins.append(self.headers.get("Authorization"))
        trouble = server.troubles.pop(0) if server.troubles else None
        if isinstance(trouble, int):
            self.send_error(trouble)
            return
        start = 0
        fresh = self.headers.get("If-Range", server.etag) == server.etag or server.careless
        if self.headers.get("Range") and server.ranges and fresh:
            start = int(self.headers["Range"][6:-1])
            if start >= len(server.data):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.data) - start))
        if start:
            self.send_header("Content-Range", server.answer or f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        body = server.data[start:]
        self.wfile.write(body[: len(body) // 2] if trouble == "drop" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.data, httpd.seen, httpd.logins, httpd.troubles, httpd.ranges = DATA, [], [], [], True
        httpd.etag = httpd.answer = httpd.careless = None
        httpd.url = f"http://127.0.0.1:{httpd.server_port}/set.zip"
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield httpd
        httpd.shutdown()


def get(server, target, **options):
    return fetch(server.url, target, progress=False, pause=0.01, **options)


def test_a_file_is_downloaded_and_its_checksum_verified(server, tmp_path):
    assert get(server, tmp_path / "f", sha256=SUM.upper()).read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_is_resumed(server, tmp_path, ranges):
    server.troubles, server.ranges = ["drop", 503, "drop"], ranges
    assert get(server, tmp_path / "f", sha256=SUM).read_bytes() == DATA
    assert server.seen[0] is None and server.seen[1] == f"bytes={len(DATA) // 2}-" and len(server.seen) == 4


def test_a_later_call_resumes_an_earlier_one(server, tmp_path):
    server.troubles = ["drop"] + [500] * 4
    with pytest.raises(InputError, match=r"5 attempts failed, the last with: 500 .*again to resume"):
        get(server, tmp_path / "f")
    assert (tmp_path / "f.part").stat().st_size == len(DATA) // 2 and not (tmp_path / "f").exists()
    assert get(server, tmp_path / "f", sha256=SUM).read_bytes() == DATA
    assert server.seen[-1] == f"bytes={len(DATA) // 2}-"


def test_a_complete_partial_file_is_only_verified(server, tmp_path):
    (tmp_path / "f.part").write_bytes(DATA)
    assert get(server, tmp_path / "f", sha256=SUM).read_bytes() == DATA


@pytest.mark.parametrize("code", [403, 404])
def test_a_client_error_is_not_retried(server, tmp_path, code):
    server.troubles = [code]
    with pytest.raises(InputError, match=f"the server reports {code}"):
        get(server, tmp_path / "f")
    assert len(server.seen) == 1 and list(tmp_path.iterdir()) == []


def test_a_wrong_checksum_removes_the_file(server, tmp_path):
    with pytest.raises(InputError, match=f"has the sha256 {SUM}, expected 00"):
        get(server, tmp_path / "f", sha256="00")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://me:secret@h/x", "me:secret@h/x", "http://me:se/secret@h/x", "http://h:secret", "http:///x"],
)
def test_other_addresses_raise_without_their_secrets(tmp_path, url):
    with pytest.raises(InputError, match="begins with http") as caught:
        fetch(url, tmp_path / "f")
    assert "secret" not in str(caught.value) or url == "http://h:secret"


def test_names_and_passwords_are_sent_and_not_shown(server, tmp_path):
    server.url = server.url.replace("//", "//me:open%40sesame@") + "?token=opensesame"
    get(server, tmp_path / "f")
    assert server.logins == ["Basic bWU6b3BlbkBzZXNhbWU="]  # me:open@sesame
    server.troubles = [403]
    with pytest.raises(InputError, match=r"http://\*\*\*@127.*/set.zip\?token=\*\*\*: the server reports 403"):
        get(server, tmp_path / "f")


class TestParts:
    """Parts of a file are continued only if they are of the file that is on the server."""

    def part(self, server, path, data=DATA[:1000], etag='"one"', total=SIZE):
        (path / "f.part").write_bytes(data)
        (path / "f.part.json").write_text(json.dumps({"url": server.url, "validator": etag, "total": total}))
        server.etag = '"one"'

    def test_of_the_same_file(self, server, tmp_path):
        self.part(server, tmp_path)
        assert get(server, tmp_path / "f").read_bytes() == DATA
        assert server.seen == ["bytes=1000-"] and [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_complete(self, server, tmp_path):
        self.part(server, tmp_path, DATA)
        assert get(server, tmp_path / "f").read_bytes() == DATA
        assert server.seen == [f"bytes={len(DATA) - 1}-"]

    @pytest.mark.parametrize("careless", [False, True])
    def test_of_a_file_that_was_replaced(self, server, tmp_path, careless):
        self.part(server, tmp_path, bytes(1000), '"zero"')
        server.careless = careless
        assert get(server, tmp_path / "f").read_bytes() == DATA

    def test_of_unknown_origin(self, server, tmp_path):
        (tmp_path / "f.part").write_bytes(bytes(1000))
        assert get(server, tmp_path / "f").read_bytes() == DATA
        assert server.seen == [None]

    def test_of_another_address(self, server, tmp_path):
        self.part(server, tmp_path, bytes(1000))
        server.url = server.url.replace("set.zip", "other.zip")
        assert get(server, tmp_path / "f").read_bytes() == DATA

    def test_longer_than_the_file(self, server, tmp_path):
        self.part(server, tmp_path, bytes(len(DATA) + 1), total=None)
        assert get(server, tmp_path / "f").read_bytes() == DATA

    @pytest.mark.parametrize("answer", ["bytes 0-999/1000", f"bytes 1000-{len(DATA) - 1}/9", "bytes 1000-1999/*", "rubbish"])
    def test_answered_with_other_bytes(self, server, tmp_path, answer):
        self.part(server, tmp_path)
        server.answer = answer
        assert get(server, tmp_path / "f").read_bytes() == DATA
        assert server.seen == ["bytes=1000-", None]


@pytest.mark.parametrize("how", ["silent", "a byte at a time", "headers a byte at a time"])
def test_servers_that_send_next_to_nothing_are_given_up(monkeypatch, tmp_path, how):
    monkeypatch.setattr("cdzoo.io.network.PATIENCE", 0.3)

    def answer(connection):
        head = b"HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        try:
            connection.sendall(b"" if how != "a byte at a time" else head)
            for _ in range(100):
                time.sleep(0.05)
                connection.sendall({"silent": b"", "a byte at a time": b"x"}.get(how, b"H"))
        except OSError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: answer(listener.accept()[0]), daemon=True).start()
        begin = time.monotonic()
        with pytest.raises(InputError, match=r"x.zip: the server sent \d bytes in 0.3 s; run the command again"):
            fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/x.zip", tmp_path / "x.zip", progress=False)
        assert time.monotonic() - begin < 5 and not (tmp_path / "x.zip").exists()


def test_the_command_downloads_unpacks_and_cuts_tiles(server, pair_folder, tmp_path, capsys):
    root = pair_folder(2, 64, name="set/train").parent
    members = {str(path.relative_to(root / "train")): path.read_bytes() for path in (root / "train").rglob("*.png")}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    server.data = packed.getvalue()
    server.url = server.url.replace("set.zip", "train.zip")
    into, own = tmp_path / "levir_cd", tmp_path / "train.zip"
    own.write_bytes(b"fetched by hand")
    words = [
        "data",
        "prepare",
        "levir_cd",
        "--root",
        str(into),
        "--url",
        server.url,
        "--out",
        str(tmp_path / "tiles"),
        "--tile",
        "32",
    ]
    assert main([*words, "--sha256", "00"]) == 2
    assert "expected 00" in capsys.readouterr().err
    assert main([*words, "--sha256", hashlib.sha256(server.data).hexdigest()]) == 0
    assert sorted(path.name for path in into.iterdir()) == ["train"] and own.read_bytes() == b"fetched by hand"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["levir_cd", "set", "tiles", "train.zip"]
    assert "train 8 tiles" in capsys.readouterr().out
