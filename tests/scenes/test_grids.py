"""Where the pixels of two dates are: grids of every orientation and system, and what is refused because it has no grid."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.transform import Affine, from_origin

from cdzoo.errors import InputError
from cdzoo.inference.predict import predict_pair
from cdzoo.io.georeference import Grid
from cdzoo.scenes import SceneCfg, predict_scene
from cdzoo.scenes.raster import RasterSource
from cdzoo.tiling import Window

SIDE = 96
SITE = 'LOCAL_CS["site",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
MOON = "+proj=longlat +a=1737400 +b=1737400 +no_defs"
POLE = (
    'GEOGCRS["rotated",BASEGEOGCRS["WGS 84",DATUM["World Geodetic System 1984",ELLIPSOID["WGS 84",6378137,298.257223563]]],'
    'DERIVINGCONVERSION["Pole rotation (netCDF CF convention)",METHOD["Pole rotation (netCDF CF convention)"],'
    'PARAMETER["Grid north pole latitude (netCDF CF convention)",39.25,ANGLEUNIT["degree",0.0174532925199433]],'
    'PARAMETER["Grid north pole longitude (netCDF CF convention)",-162,ANGLEUNIT["degree",0.0174532925199433]],'
    'PARAMETER["North pole grid longitude (netCDF CF convention)",0,ANGLEUNIT["degree",0.0174532925199433]]],'
    'CS[ellipsoidal,2],AXIS["longitude",east,ANGLEUNIT["degree",0.0174532925199433]],'
    'AXIS["latitude",north,ANGLEUNIT["degree",0.0174532925199433]]]'
)
SMALL = SceneCfg(tile=64, overlap=16, progress=False)


@pytest.fixture
def ground():
    """A smooth picture of some ground (SIDE, SIDE, 3), so that half a pixel of resampling changes little."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.stack([60 + rows, 60 + columns, 200 - rows // 2 - columns // 2], -1).astype(np.uint8)


def read_on(grid, path):
    with RasterSource(path, 3, grid) as source:
        return source.read(Window(0, 0, source.height, source.width))


ORIENTATIONS = {
    "shifted": (np.s_[:, :], Affine(1, 0, 500_000, 0, -1, 5_000_000)),
    "south_up": (np.s_[::-1, :], Affine(1, 0, 500_000, 0, 1, 5_000_000 - SIDE)),
    "mirrored": (np.s_[:, ::-1], Affine(-1, 0, 500_000 + SIDE, 0, -1, 5_000_000)),
    "turned": (np.s_[::-1, ::-1], Affine(-1, 0, 500_000 + SIDE, 0, 1, 5_000_000 - SIDE)),
}


@pytest.mark.parametrize("crs", ["EPSG:32633", None, SITE], ids=["utm", "no_system", "site"])
@pytest.mark.parametrize("before", ORIENTATIONS)
@pytest.mark.parametrize("after", ORIENTATIONS)
def test_grids_of_every_orientation_are_laid_on_each_other(raster, ground, crs, before, after):
    (order, transform), (other, other_transform) = ORIENTATIONS[before], ORIENTATIONS[after]
    first = raster("a.tif", ground[order], crs=crs, transform=transform)
    second = raster("b.tif", ground[other], crs=crs, transform=other_transform * Affine.translation(7, 5))
    with RasterSource(first, 3) as source:
        pixels, valid = read_on(source.grid, second)
    with rasterio.open(first) as one, rasterio.open(second) as two:
        rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
        x, y = ~two.transform * (one.transform * (columns, rows))
    inside = (x > 0) & (x < SIDE) & (y > 0) & (y < SIDE)
    np.testing.assert_array_equal(valid, inside)
    np.testing.assert_array_equal(pixels[inside], ground[other][y[inside].astype(int), x[inside].astype(int)])


@pytest.mark.parametrize(
    ("west", "other_west", "crs", "other_crs"),
    [
        (180 - 48e-4, -180 - 48e-4, "EPSG:4326", "EPSG:4326"),
        (-180 - 48e-4, 180 - 48e-4, "EPSG:4326", "EPSG:4269"),
        (200, -160, "EPSG:4326", "EPSG:4326"),
        (-160, 200, "EPSG:4326", "EPSG:4326"),
        (200, -160, "EPSG:4326", "EPSG:32604"),
        (-160, 200, "EPSG:32604", "EPSG:4326"),
        (180 - 48e-4, -180 - 48e-4, "EPSG:4326", "EPSG:32601"),
        (180 - 48e-4, 180 - 48e-4, "EPSG:32601", "EPSG:4326"),
    ],
)
def test_longitudes_of_two_conventions_are_the_same_place(raster, ground, west, other_west, crs, other_crs):
    def write(name, west, system):
        path = raster(name, ground, crs="EPSG:4326", transform=from_origin(west, 10, 1e-4, 1e-4))
        if system.startswith("EPSG:4"):
            return raster(name, ground, crs=system, transform=from_origin(west, 10, 1e-4, 1e-4))
        with rasterio.open(path) as file:
            wrapped = f"+proj=longlat +datum=WGS84 +lon_wrap={west}"
            (x,), (y,) = rasterio.warp.transform("EPSG:4326", system, [west], [10])
            place = {"crs": system, "transform": from_origin(x - 100, y + 100, 11, 11), "height": SIDE + 20, "width": SIDE + 20}
            with rasterio.vrt.WarpedVRT(file, src_crs=wrapped, **place) as moved:
                pixels = moved.read().transpose(1, 2, 0)
        return raster(name, pixels, crs=system, transform=place["transform"], nodata=0)

    first, second = write("a.tif", west, crs), write("b.tif", other_west, other_crs)
    with RasterSource(first, 3) as source:
        expected, known = source.read(Window(0, 0, source.height, source.width))
        pixels, valid = read_on(source.grid, second)
    assert (valid & known).sum() > 0.95 * known.sum()
    assert np.abs(pixels[valid & known].astype(int) - expected[valid & known]).max() <= 3


def test_rasters_around_the_earth_from_two_meridians_are_refused(raster):
    world = np.full((90, 180, 3), 90, np.uint8)
    paths = [
        raster(name, world, crs="EPSG:4326", transform=from_origin(west, 90, 2, 2)) for name, west in (("a", -180), ("b", 0))
    ]
    with RasterSource(paths[0], 3) as source, pytest.raises(InputError, match=r"b: its longitudes .* 180th meridian"):
        read_on(source.grid, paths[1])


def control_points(file):
    corners = [(0, 0), (0, SIDE), (SIDE, 0), (SIDE, SIDE)]
    file.gcps = ([GroundControlPoint(row, col, 500_000 + col, 5_000_000 - row) for row, col in corners], CRS.from_epsg(32633))


def polynomials(file):
    one, line, sample = [1.0] + [0.0] * 19, [0.0, 0.0, -1.0] + [0.0] * 17, [0.0, 1.0] + [0.0] * 18
    names = ("height_off", "height_scale", "lat_off", "lat_scale", "line_off", "line_scale")
    names += ("long_off", "long_scale", "samp_off", "samp_scale", "err_bias", "err_rand")
    scales = dict(zip(names, (0, 500, 45, 5e-4, 48, 48, 15, 5e-4, 48, 48, 0, 0), strict=True))
    file.rpcs = RPC(line_num_coeff=line, line_den_coeff=one, samp_num_coeff=sample, samp_den_coeff=one, **scales)


@pytest.mark.parametrize(("place", "words"), [(control_points, "ground control points"), (polynomials, "RPC")])
@pytest.mark.parametrize("which", [0, 1])
def test_places_without_a_grid_are_refused_by_name(raster, ground, place, words, which):
    paths = [raster(name, ground, crs=None, transform=Affine.identity()) for name in ("a.tif", "b.tif")]
    with rasterio.open(paths[which], "r+") as file:
        place(file)
    with (
        pytest.raises(InputError, match=rf"{paths[which].name}: placed by .*{words}.* alone; resample"),
        RasterSource(paths[0], 3) as source,
    ):
        read_on(source.grid, paths[1])


def test_coordinates_of_one_date_alone_are_refused(raster, ground):
    first = raster("a.tif", ground, crs=None, transform=from_origin(100, 200, 1, 1))
    second = raster("b.tif", ground, crs=None, transform=Affine.identity())
    with (
        RasterSource(first, 3) as source,
        pytest.raises(InputError, match="has no coordinates, but the first image has coordinates"),
    ):
        read_on(source.grid, second)


@pytest.mark.parametrize("crs", [SITE, POLE, MOON], ids=["site", "rotated_pole", "moon"])
def test_maps_keep_systems_without_a_way_to_wgs84(detector, raster, ground, tmp_path, crs):
    changed = ground.copy()
    changed[20:40, 20:60] = np.where(ground < 128, ground + 100, ground - 100)[20:40, 20:60]
    place = {"crs": crs, "transform": from_origin(1, 1, 1e-3, 1e-3)}
    paths = [raster(name, pixels, **place) for name, pixels in (("a.tif", ground), ("b.tif", changed))]
    if crs == POLE:
        with pytest.raises(InputError, match=r"c\.gpkg: cannot hold .* of .*a\.tif"):
            predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL, polygons=tmp_path / "c.gpkg")
        assert not list(tmp_path.glob("*c.*"))
    polygons = tmp_path / ("c.geojson" if crs == POLE else "c.gpkg")
    files = {"probability": tmp_path / "p.tif", "polygons": polygons, "report": tmp_path / "r.html"}
    result = predict_scene(detector(), *paths, tmp_path / "c.tif", SMALL, **files)
    assert result.polygons == 1 and files["report"].is_file()
    for name in ("c.tif", "p.tif"):
        with rasterio.open(tmp_path / name) as file, rasterio.open(paths[0]) as first:
            assert file.crs == first.crs and file.transform.almost_equals(first.transform)
    companion = ElementTree.parse(tmp_path / "c.tif.aux.xml")
    assert [element.text for element in companion.iter("Category")] == ["no change", "change"]
    assert len(companion.findall("PAMRasterBand")) == 1


def test_systems_without_a_conversion_are_refused_by_name(raster, ground):
    first = raster("a.tif", ground)
    second = raster("b.tif", ground, crs=SITE)
    with RasterSource(first, 3) as source, pytest.raises(InputError, match=r"b\.tif: .*no conversion between"):
        read_on(source.grid, second)


def test_a_rotated_pole_is_resampled_to_longitudes_and_latitudes(raster, ground):
    path = raster("b.tif", ground, crs=POLE, transform=from_origin(1, 1, 1e-3, 1e-3))
    (x,), (y,) = rasterio.warp.transform(CRS.from_wkt(POLE), "EPSG:4326", [1 + SIDE / 2e3], [1 - SIDE / 2e3])
    _, valid = read_on(Grid(CRS.from_epsg(4326), from_origin(x - 0.01, y + 0.01, 1e-3, 1e-3), 20, 20), path)
    assert valid.all()


def test_pictures_of_rasters_at_other_places_are_refused(detector, raster, ground):
    first = raster("a.tif", ground)
    second = raster("b.tif", ground, transform=from_origin(500_032, 5_000_000, 1, 1))
    with pytest.raises(InputError, match=r"b\.tif: lies \+32\.0 columns and \+0\.0 rows from .*a\.tif.*output \.tif"):
        predict_pair(detector(), first, second)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6])
def test_what_the_second_date_does_not_cover_has_no_data_in_any_number_of_bands(raster, ground, bands):
    image = np.resize(ground, (SIDE, SIDE, bands)).astype(np.uint16)
    path = raster("b.tif", image, transform=from_origin(500_007, 5_000_000, 1, 1))
    with RasterSource(raster("a.tif", image), bands, value_range=(0, 255)) as first:
        with RasterSource(path, bands, first.grid, value_range=(0, 255)) as second:
            _, valid = second.read(Window(0, 0, SIDE, SIDE))
            _, small = second.overview((SIDE // 2, SIDE // 2))
    assert not valid[:, :7].any() and valid[:, 7:].all() and not small[:, :3].any() and small[:, 4:].all()
