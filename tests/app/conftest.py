"""The page at a free port of this machine, generated pairs, and a guard against connections to elsewhere."""

import ipaddress
import os
import socket
from importlib.util import find_spec

import huggingface_hub  # noqa: F401  # reads its settings when it is imported, before the page is offline
import numpy as np
import pytest
from PIL import Image

# Without the extra of the app there is nothing to test.
collect_ignore_glob = [] if all(map(find_spec, ("gradio", "rasterio", "geopandas"))) else ["test_*.py"]


def is_here(address):
    """Return whether an address of a socket is that of this machine."""
    if not isinstance(address, tuple):
        return True  # a file
    try:
        place = ipaddress.ip_address(address[0])
    except ValueError:
        return address[0] == "localhost"
    if place.is_loopback:
        return True
    with socket.socket(socket.AF_INET if place.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address[0], 0))  # only a machine's own addresses can be bound
        except OSError:
            return False
    return True


@pytest.fixture(scope="session")
def connections():
    """Addresses elsewhere to which something in this process connected; none may be."""
    found, connect = [], socket.socket.connect

    def recorded(self, address):
        if not is_here(address):
            found.append(address)
            raise OSError(f"tests connect to this machine only, not to {address}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", recorded)
        yield found


@pytest.fixture(autouse=True)
def _same_environment():
    """The page is offline, and other tests have a Hub of their own."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def server(connections, tmp_path_factory):
    """Return the address, the weights and the sessions of a page that takes images of at most a megapixel."""
    from cdzoo.app.inputs import Limits
    from cdzoo.app.server import start, stay_offline

    before = dict(os.environ)
    stay_offline()
    os.environ["GRADIO_HEARTBEAT_INTERVAL"] = "0.5"  # after which a visitor is known to have left
    from cdzoo.app.session import Sessions
    from cdzoo.app.weights import WeightsMenu

    menu, sessions = WeightsMenu(), Sessions()
    page, url = start(menu, sessions, Limits(megabytes=4, megapixels=1))
    kept = {name: text for name, text in os.environ.items() if name.startswith("GRADIO_")}
    os.environ.clear()
    os.environ.update({**before, **kept})
    yield url, menu, sessions
    page.close(verbose=False)
    sessions.close()
    assert not connections


@pytest.fixture(scope="session")
def scene():
    """Return both dates of a generated scene (128, 128, 3) with much change."""
    from cdzoo.data.synthetic import make_scene

    found = make_scene([2, 3], 128)
    return found.before, found.after


@pytest.fixture(scope="session")
def files(scene, tmp_path_factory):
    """Write both dates as pictures and as GeoTIFFs with pixels of half a meter in UTM; return the files by name."""
    folder = tmp_path_factory.mktemp("pair")
    import rasterio

    place = rasterio.transform.from_origin(500_000, 5_000_000, 0.5, 0.5)
    profile = {"driver": "GTiff", "height": 128, "width": 128, "count": 3, "dtype": "uint8"}
    for name, pixels in zip(("before", "after"), scene, strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")
        with rasterio.open(folder / f"{name}.tif", "w", crs="EPSG:32633", transform=place, **profile) as file:
            file.write(pixels.transpose(2, 0, 1))
        with rasterio.open(folder / f"{name}16.tif", "w", **{**profile, "dtype": "uint16"}) as file:
            file.write(pixels.transpose(2, 0, 1).astype(np.uint16) * 40)
    (folder / "notes.png").write_text("no image")
    Image.new("RGB", (1100, 1000)).save(folder / "large.png")
    return {file.name: file for file in folder.iterdir()}
