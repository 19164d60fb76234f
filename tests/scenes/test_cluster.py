"""A list of remote scenes on a Ray cluster of several nodes, simulated on this machine; one of them is killed."""

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from range_server import RangeServer

import cdzoo
from cdzoo.cli.main import main

COUNT, SIZE = 8, 128


@pytest.fixture
def store(tmp_path, raster, monkeypatch):
    """Serve one first date and several second ones as objects of S3."""
    (tmp_path / "store" / "bucket").mkdir(parents=True)
    rng = np.random.default_rng(0)
    before = rng.integers(80, 110, (SIZE, SIZE, 3), dtype=np.uint8)
    raster("store/bucket/first.tif", before)
    for number in range(COUNT):
        after = before.copy()
        after[8 * number : 8 * number + 50, 30:80] = 230
        raster(f"store/bucket/second_{number}.tif", after)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with RangeServer(tmp_path / "store") as server:
        options = {"AWS_S3_ENDPOINT": server.address.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_NO_SIGN_REQUEST": "YES"}
        for name, value in {**options, "AWS_VIRTUAL_HOSTING": "FALSE"}.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Start a head, which takes clients, and a second node, each with two cores and a folder for temporary files."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(Path(cdzoo.__file__).parents[1]))
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")  # with it, the process that Ray starts for a client may crash in gRPC
    found = Cluster()
    for name, options in (("one", {"ray_client_server_port": 20_001 + os.getpid() % 5_000}), ("two", {})):
        (tmp_path / name).mkdir()
        options |= {"num_cpus": 2, "include_dashboard": False, "env_vars": {"TMPDIR": str(tmp_path / name)}}
        node = found.add_node(**options)
    yield found, node
    ray.shutdown()
    found.shutdown()


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.mark.slow
def test_a_node_that_is_killed(store, cluster, tmp_path, capsys):
    """The others predict its scenes; each node reads an image once; nothing is left over."""
    found, node = cluster
    weights = cdzoo.create_model("glmamba_tiny", pretrained=True).save_pretrained(tmp_path / "model")
    lines = [
        f"s3://bucket/first.tif,s3://bucket/second_{number}.tif,maps/m{number}.tif,maps/p{number}.tif" for number in range(COUNT)
    ]
    (tmp_path / "scenes.csv").write_text("\n".join(["before,after,output,probability", *lines]) + "\n")
    # Augmentation, so that a scene takes long enough for the node to be lost inside of one.
    words = ["predict", "--manifest", str(tmp_path / "scenes.csv"), "--model", str(weights), "--tile", "64", "--augment", "all"]
    killed = []

    def kill():
        """Kill a node when it has a scene that is not complete."""
        while not killed:
            blocks = [*tmp_path.glob("maps/.*.blocks/block_*")]
            if len([*tmp_path.glob("maps/m*.tif")]) >= 2 and blocks:
                found.remove_node(node, allow_graceful=False)
                killed.append(time.monotonic())
            time.sleep(0.02)

    threading.Thread(target=kill, daemon=True).start()
    address = f"ray://127.0.0.1:{found.head_node._ray_params.ray_client_server_port}"
    assert main([*words, "--ray", address]) == 0
    out = capsys.readouterr().out
    assert killed and f"{COUNT} scenes: {COUNT} predicted, 0 finished before, 0 failed" in out
    assert "taken over from workers or machines that were lost" in out
    assert not [*tmp_path.glob("maps/.*")]
    for name in ("one", "two"):
        assert [*tmp_path.glob(f"{name}/cdzoo_images_*/images/*.tif")]
    pixels = [path for _, path, asked in store.asked if asked and not asked.startswith("bytes=0-")]
    assert pixels.count("/bucket/first.tif") <= 2
    by_ray = {file.name: read(file) for file in tmp_path.glob("maps/*.tif")}
    (tmp_path / "maps").rename(tmp_path / "by_ray")
    assert main([*words, "--cache", str(tmp_path / "cache")]) == 0
    assert sorted(by_ray) == sorted(f"{kind}{number}.tif" for kind in "mp" for number in range(COUNT))
    for name, values in by_ray.items():
        np.testing.assert_array_equal(values, read(tmp_path / "maps" / name))
    assert np.unique(by_ray["p0.tif"]).size > 5
