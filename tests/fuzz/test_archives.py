"""Archives with damaged bytes and hostile members."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from cdzoo.data.archives import unpack

PACK = {"tar": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
NAMES = (
    "a",
    "x/b",
    "x/b/c",
    "../evil",
    "/evil",
    "..\\evil",
    "C:\\evil",
    "x/../../evil",
    "./a",
    "",
    ".",
    "a" * 300,
    "\x1b[2J",
    "é",
)
NAMES += ("\udce9", "x/", "a\nb", "con", "~/evil", "x/./y", "//evil", "a\0b")
TYPES = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
    b"S",
    b"x",
    b"L",
    b"9",
)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def pack(kind, files):
    """Return an archive of files, given by name."""
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return file.getvalue()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return PACK[kind](file.getvalue())


@pytest.mark.parametrize("kind", ["zip", *PACK])
def test_damaged_archives(fuzz, damaged, kind):
    """What is unpacked is what was packed, but for plain tar archives, which have checksums for their headers only."""

    def one_round(rng, folder):
        files = {name: rng.bytes(int(rng.integers(3000))) for name in ("x/a", "x/b", "y/a")}
        (folder / "a.bin").write_bytes(damaged(rng, pack(kind, files)))
        try:
            unpack(folder / "a.bin", folder / "out")
        finally:
            left = sorted(path.name for path in folder.iterdir())
            assert left in (["a.bin"], ["a.bin", "out"])
        if kind not in ("tar", "zip"):
            assert contents(folder / "out") == files
        if kind == "zip":  # names have no checksum, and a damaged table may have lost some
            assert set(contents(folder / "out").values()) <= set(files.values())

    assert fuzz(one_round, 40)["refused"]


def test_hostile_tar_archives(fuzz):
    def one_round(rng, folder):
        with tarfile.open(folder / "a.tar", "w", format=int(rng.integers(1, 3))) as archive:
            for _ in range(rng.integers(1, 5)):
                member = tarfile.TarInfo(NAMES[rng.integers(len(NAMES))])
                member.type = TYPES[rng.integers(len(TYPES))] if rng.integers(3) == 0 else tarfile.REGTYPE
                member.linkname = NAMES[rng.integers(len(NAMES))]
                member.mode, member.mtime = int(rng.integers(2**12)), int(rng.integers(2**33))
                data = rng.bytes(int(rng.integers(600)))
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        unpack(folder / "a.tar", folder / "out")

    assert set(fuzz(one_round, 80)) == {"done", "refused"}


def test_hostile_zip_archives(fuzz):
    def one_round(rng, folder):
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            for _ in range(rng.integers(1, 5)):
                member = zipfile.ZipInfo("x")
                member.filename = NAMES[rng.integers(len(NAMES) - 1)].encode("utf-8", "replace").decode()
                member.external_attr = int(rng.integers(2**16)) << 16 if rng.integers(3) == 0 else 0
                member.compress_type = int(
                    rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
                )
                archive.writestr(member, rng.bytes(int(rng.integers(600))))
        unpack(folder / "a.zip", folder / "out")

    assert set(fuzz(one_round, 80)) == {"done", "refused"}
