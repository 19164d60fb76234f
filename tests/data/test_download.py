"""Downloads from a local server that fails in several ways; archives with unsafe content."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cdzoo.cli.main import main
from cdzoo.data.download import fetch, unpack
from cdzoo.errors import InputError

DATA = bytes(range(256)) * 4000
SUM = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.seen.append(self.headers.get("Range"))
        trouble = server.troubles.pop(0) if server.troubles else None
        if isinstance(trouble, int):
            self.send_error(trouble)
            return
        start = 0
        if self.headers.get("Range") and server.ranges:
            start = int(self.headers["Range"][6:-1])
            if start >= len(server.data):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.data) - start))
        self.end_headers()
        body = server.data[start:]
        self.wfile.write(body[: len(body) // 2] if trouble == "drop" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.data, httpd.seen, httpd.troubles, httpd.ranges = DATA, [], [], True
        httpd.url = f"http://127.0.0.1:{httpd.server_port}/set.zip"
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
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
    with pytest.raises(InputError, match=f"the server answers {code}"):
        get(server, tmp_path / "f")
    assert len(server.seen) == 1 and list(tmp_path.iterdir()) == []


def test_a_wrong_checksum_removes_the_file(server, tmp_path):
    with pytest.raises(InputError, match=f"has the sha256 {SUM}, expected 00"):
        get(server, tmp_path / "f", sha256="00")
    assert list(tmp_path.iterdir()) == []


def test_other_url_schemes_raise(tmp_path):
    with pytest.raises(InputError, match="begins with http"):
        fetch("file:///etc/passwd", tmp_path / "f")


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def tarred(path, members):
    with tarfile.open(path, "w:gz") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_archives_are_unpacked(tmp_path, pack):
    archive = pack(tmp_path / "a.bin", {"A/x.png": b"1", "B/x.png": b"2"})
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "B" / "x.png").read_bytes() == b"2"
    inner = pack(tmp_path / "b.bin", {"LEVIR/A/x.png": b"1", "LEVIR/B/x.png": b"2"})
    unpack(inner, tmp_path / "inner")
    assert (tmp_path / "inner" / "A" / "x.png").read_bytes() == b"1"
    with pytest.raises(InputError, match="already exists"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt"])
def test_archives_with_paths_outside_the_folder_raise(tmp_path, pack, name):
    archive = pack(tmp_path / "a.bin", {"good.txt": b"1", name: b"2"})
    with pytest.raises(InputError, match="outside the folder"):
        unpack(archive, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep" / "out").exists() and not list(tmp_path.rglob("evil.txt"))


def test_archives_with_links_bombs_or_other_files_raise(tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "link.tar", "w") as file:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    with pytest.raises(InputError, match="'link' is a link"):
        unpack(tmp_path / "link.tar", tmp_path / "out")
    cut = zipped(tmp_path / "cut.zip", {"a": DATA})
    whole = cut.read_bytes()
    cut.write_bytes(whole[: len(whole) // 3] + bytes(100) + whole[len(whole) // 3 + 100 :])
    with pytest.raises(InputError, match="damaged"):
        unpack(cut, tmp_path / "out")
    monkeypatch.setattr("cdzoo.data.download._LARGEST_FREE", 1000)
    bomb = zipped(tmp_path / "bomb.zip", {"zeros": bytes(10_000_000)})
    with pytest.raises(InputError, match="is not trusted"):
        unpack(bomb, tmp_path / "out")
    (tmp_path / "no.zip").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="neither a zip nor a tar"):
        unpack(tmp_path / "no.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_downloads_unpacks_and_cuts_tiles(server, pair_folder, tmp_path, capsys):
    root = pair_folder(2, 64, name="set/train").parent
    members = {str(path.relative_to(root / "train")): path.read_bytes() for path in (root / "train").rglob("*.png")}
    server.data = zipped(tmp_path / "t.zip", members).read_bytes()
    server.url = server.url.replace("set.zip", "train.zip")
    into = tmp_path / "levir_cd"
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
    assert sorted(path.name for path in into.iterdir()) == ["train"]
    assert "train 8 tiles" in capsys.readouterr().out
