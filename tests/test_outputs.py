"""Outputs that would overwrite something, and locks."""

import errno
import os
import subprocess
import sys

import pytest

from cdzoo.errors import InputError, printable
from cdzoo.io.files import replace_atomically
from cdzoo.io.outputs import check_outputs, exclusive


def spellings(tmp_path):
    """Yield other paths of one existing file."""
    file = tmp_path / "image.tif"
    file.write_bytes(b"1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.tif").symlink_to(file)
    os.link(file, tmp_path / "hard.tif")
    return [file, tmp_path / "folder" / ".." / "image.tif", tmp_path / "link.tif", tmp_path / "hard.tif", os.path.relpath(file)]


def test_an_output_must_not_be_an_input_in_any_spelling(tmp_path):
    paths = spellings(tmp_path)
    for path in paths:
        with pytest.raises(InputError, match=r"is the input .*image\.tif as well"):
            check_outputs({"-o": path}, [paths[0]])


@pytest.mark.parametrize("second", ["map.tif", "../{name}/map.tif"])
def test_two_outputs_must_differ(tmp_path, second):
    with pytest.raises(InputError, match=r"--probability .* is the output of -o as well"):
        check_outputs({"-o": tmp_path / "map.tif", "--probability": tmp_path / second.format(name=tmp_path.name)})


@pytest.mark.parametrize("name", ["", "a" * 300 + ".tif", "absent/map.tif"])
def test_outputs_that_cannot_be_written(tmp_path, name):
    with pytest.raises(InputError, match="-o"):
        check_outputs({"-o": tmp_path / name})
    assert not list(tmp_path.iterdir())


def test_outputs_leave_nothing_behind(tmp_path):
    check_outputs({"-o": tmp_path / "map.tif", "--report": None}, [tmp_path / "image.tif"])
    assert not list(tmp_path.iterdir())


def test_only_one_process_holds_a_lock(tmp_path):
    code = (
        "import sys\nfrom cdzoo.io.outputs import exclusive\nwith exclusive(sys.argv[1]):\n"
        "    print('held', flush=True)\n    sys.stdin.readline()"
    )
    for output in (tmp_path, tmp_path / "map.tif"):
        command = [sys.executable, "-c", code, str(output)]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another run writes here"), exclusive(output):
            pass
        other.kill()
        other.communicate()
        with exclusive(output):  # the lock of a killed process is free
            pass
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "code"), [("a" * 300, errno.ENAMETOOLONG), ("full", errno.ENOSPC)])
def test_errors_while_writing_name_the_file(tmp_path, name, code):
    with pytest.raises(OSError, match=name) as caught, replace_atomically(tmp_path / name) as temporary:
        temporary.write_text("text")
        if name == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
    assert (caught.value.errno, caught.value.filename) == (code, str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_printable():
    assert printable("a\x1b[31m\tb\n\x07\udc80é") == "a\\x1b[31m\tb\n\\x07\\udc80é"
