"""Archives that are damaged or have unsafe content."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import numpy as np
import pytest

from cdzoo.data.archives import unpack
from cdzoo.errors import InputError

DATA = bytes(range(256)) * 4000
NOISE = np.random.default_rng(0).bytes(50_000)


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
    monkeypatch.setattr("cdzoo.data.archives._LARGEST_FREE", 1000)
    bomb = zipped(tmp_path / "bomb.zip", {"zeros": bytes(10_000_000)})
    with pytest.raises(InputError, match="is not trusted"):
        unpack(bomb, tmp_path / "out")
    (tmp_path / "no.zip").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="neither a zip nor a tar"):
        unpack(tmp_path / "no.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def packed(kind):
    """Return an archive of three files of noise."""
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for name in "abc":
                archive.writestr(f"x/{name}", NOISE)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in "abc":
            member = tarfile.TarInfo(f"x/{name}")
            member.size = len(NOISE)
            archive.addfile(member, io.BytesIO(NOISE))
    return {"tar": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[kind](file.getvalue())


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "bz2", "xz"])
class TestDamage:
    def refused(self, tmp_path, data):
        (tmp_path / "a.bin").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.bin: (the archive is damaged|neither|cannot be unpacked|the archive contains)"):
            unpack(tmp_path / "a.bin", tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]

    def test_none(self, tmp_path, kind):
        (tmp_path / "a.bin").write_bytes(packed(kind))
        unpack(tmp_path / "a.bin", tmp_path / "out")
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == dict.fromkeys("abc", NOISE)

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
    def test_a_changed_bit(self, tmp_path, kind, share):
        data = bytearray(packed(kind))
        data[int(share * len(data))] ^= 0x40
        if kind == "tar":  # which has checksums for its headers only
            data = bytearray(packed(kind))
            data[512 + len(NOISE) // 512 * 512 + 512 + 100] ^= 0x40
        self.refused(tmp_path, data)

    @pytest.mark.parametrize("share", [0.3, 0.6, "8 bytes"])
    def test_a_missing_end(self, tmp_path, kind, share):
        data = packed(kind)
        data = data.rstrip(b"\0") if kind == "tar" else data
        self.refused(tmp_path, data[:-8] if share == "8 bytes" else data[: int(share * len(data))])

    def test_a_hole(self, tmp_path, kind):
        data = bytearray(packed(kind))
        data[40_960:61_440] = bytes(20_480)  # the second header of a tar archive, which ends at a block of zeros
        self.refused(tmp_path, data)

    def test_nothing_but_zeros(self, tmp_path, kind):
        self.refused(tmp_path, bytes(len(packed(kind))))


def test_a_tar_archive_that_ends_with_a_zip_archive_is_a_tar_archive(tmp_path):
    tarred(tmp_path / "a.tar", {"x.txt": b"1", "inner.zip": packed("zip")})
    (tmp_path / "a.tar").write_bytes(gzip.decompress((tmp_path / "a.tar").read_bytes()))
    assert sorted(path.name for path in unpack(tmp_path / "a.tar", tmp_path / "out").iterdir()) == ["inner.zip", "x.txt"]


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        (tarfile.GNUTYPE_LONGNAME, 1 << 33, "a header of"),
        (tarfile.XHDTYPE, 1 << 33, "a header of"),
        (tarfile.REGTYPE, 0, "trusted"),
    ],
)
def test_bombs_of_headers_raise(tmp_path, monkeypatch, kind, size, message):
    monkeypatch.setattr("cdzoo.data.archives._LARGEST_FREE", 1 << 20)
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, size
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) * 1000))
    with pytest.raises(InputError, match=message):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
