"""Copies of remote images that several processes share."""

import multiprocessing
import os
import time
from contextlib import suppress
from functools import partial
from itertools import pairwise

import pytest

from cdzoo.errors import InputError
from cdzoo.scenes.image_cache import CachedImage, ImageCache

SIZE = 1_000_000
GB = 1e-9  # per byte


def fetch(log, key, path):
    """Write an image slowly, and note it."""
    with log.open("a") as file:
        file.write(f"{key}\n")
    time.sleep(0.05)
    path.write_bytes(key.encode() * (SIZE // len(key)))


def image(log, key):
    return CachedImage(key, f"{key}.tif", SIZE, partial(fetch, log, key))


def use(folder, log, room, keys, together):
    """Use images, and return the largest size of the folder and whether all had their content."""
    cache, largest = ImageCache(folder, room), 0
    together.wait()
    for pair in pairwise(keys):
        with cache.files([image(log, key) for key in pair]) as paths:
            assert [path.read_bytes()[:2] for path in paths] == [key.encode() for key in pair]
            sizes = {}
            for place, _, names in os.walk(cache.folder):
                for name in names:
                    with suppress(FileNotFoundError):
                        found = os.stat(os.path.join(place, name))
                        sizes[found.st_ino] = found.st_size if name.endswith(".tif") else 0
            largest = max(largest, sum(sizes.values()))
    return largest


def _child(queue, *arguments):
    try:
        queue.put(use(*arguments))
    except BaseException as error:
        queue.put(repr(error))


def run(folder, log, room, lists):
    """Use images in a process for each list of keys."""
    context = multiprocessing.get_context("fork")
    together, queue = context.Barrier(len(lists)), context.Queue()
    children = [context.Process(target=_child, args=(queue, folder, log, room, keys, together)) for keys in lists]
    for child in children:
        child.start()
    found = [queue.get(timeout=60) for _ in children]
    for child in children:
        child.join()
    return found


def test_processes_fetch_an_image_once(tmp_path):
    log, keys = tmp_path / "log", ["aa", "bb", "cc", "dd"]
    assert run(tmp_path / "cache", log, None, [keys, keys[::-1], keys]) == pytest.approx([4 * SIZE] * 3, abs=2 * SIZE)
    assert sorted(log.read_text().split()) == keys
    assert not [*tmp_path.glob("cache/use_*")] and len([*tmp_path.glob("cache/images/*.tif")]) == 4


def test_the_room_is_not_exceeded(tmp_path):
    """Three processes that need two images each, with room for four."""
    log, room = tmp_path / "log", 4.5 * SIZE * GB
    lists = [["aa", "bb", "cc"], ["dd", "ee", "ff"], ["gg", "hh", "aa"]]
    found = run(tmp_path / "cache", log, room, lists)
    assert all(isinstance(size, int) and size <= 4.5 * SIZE for size in found), found
    assert {*log.read_text().split()} == {key for keys in lists for key in keys}
    with pytest.raises(InputError, match=r"have up to 0.002 GB, and the cache 0.0015 GB; choose a larger size"):
        with ImageCache(tmp_path / "cache", 1.5 * SIZE * GB).files([image(log, "aa"), image(log, "bb")]):
            pass


def test_the_longest_unused_is_removed_first(tmp_path):
    log, cache = tmp_path / "log", ImageCache(tmp_path / "cache", 2.5 * SIZE * GB)
    for key in ("aa", "bb", "aa", "cc", "aa", "bb"):
        with cache.files([image(log, key)]):
            time.sleep(0.01)
    assert log.read_text().split() == ["aa", "bb", "cc", "bb"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "cache"
    read, write = os.pipe()
    if not (child := os.fork()):
        with ImageCache(folder, 2.5 * SIZE * GB).files([image(log, "aa"), image(log, "bb")]):
            os.write(write, b"x")
            time.sleep(30)
    os.read(read, 1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert [*folder.glob("use_*")]
    with ImageCache(folder, 2.5 * SIZE * GB).files([image(log, "cc"), image(log, "aa")]):
        assert len([*folder.glob("use_*")]) == 1
    assert log.read_text().split() == ["aa", "bb", "cc"]


def test_images_that_may_have_changed_are_not_kept(tmp_path):
    log, cache = tmp_path / "log", ImageCache(tmp_path / "cache")
    with cache.files([CachedImage(None, "a.tif", SIZE, partial(fetch, log, "aa"))]) as (path,):
        assert path.name == "a.tif" and path.is_file()
    assert not [*tmp_path.glob("cache/images/*")]


def test_other_folders(tmp_path):
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(InputError, match=r"has files other than those of a cache \(thesis.doc\)"):
        ImageCache(tmp_path)
    with pytest.raises(InputError, match="pass a size above 0"):
        ImageCache(tmp_path / "cache", 0)
