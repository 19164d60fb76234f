"""Output files of a scene, checked before the prediction starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cdzoo.errors import CdzooError, InputError, require
from cdzoo.io.files import PathLike, output_path
from cdzoo.io.outputs import check_outputs, exclusive
from cdzoo.io.vectors import WRITTEN, check_vector_packages

RASTERS = (".tif", ".tiff")
PAGES = (".html", ".htm")
POLYGONS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".parquet": "Parquet"}
"""Formats of polygons by suffix."""
LAYER = "change"
"""Layer of a GeoPackage."""
STYLE = ".qml"
_MARK = b'creator="cdzoo'  # in the first line of a style; QGIS leaves it out when it saves one


@dataclass(frozen=True)
class Outputs:
    """Output files of a scene; None for those that are not requested.

    Attributes:
        mask: GeoTIFF of the main map.
        probability: GeoTIFF of the probability.
        polygons: File of the changed areas.
        report: HTML page.
        further: GeoTIFFs of the further maps of the task by name.
        with_styles: Whether styles of QGIS are written with them.
        footprints: Table of statistics per footprint.
    """

    mask: Path
    probability: Path | None = None
    polygons: Path | None = None
    report: Path | None = None
    further: Mapping[str, Path] = field(default_factory=dict)
    with_styles: bool = True
    footprints: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Files that are written."""
        products = [file for file in (self.probability, self.polygons, self.report, self.footprints) if file is not None]
        return [self.mask, *self.further.values(), *products]

    @property
    def styled(self) -> dict[str, Path]:
        """Files whose style is a file next to them, by the name of the output."""
        named: dict[str, Path | None] = {_title(name): file for name, file in self.further.items()}
        named = {"output": self.mask, **named, "probability": self.probability, "polygons": self.polygons}
        return {name: file for name, file in named.items() if file is not None and file.suffix.lower() != ".gpkg"}

    @property
    def styles(self) -> list[Path]:
        """Style files that are written: those that do not exist yet, or that this package wrote."""
        return [file for file in self._style_files if not os.path.lexists(file) or is_own_style(file)] if self.with_styles else []

    @property
    def kept_styles(self) -> list[Path]:
        """Style files that somebody else wrote, such as QGIS when it saves a style."""
        return [file for file in self._style_files if os.path.lexists(file) and not is_own_style(file)]

    @property
    def stale_styles(self) -> list[Path]:
        """Style files of an earlier run that are not written again."""
        return [] if self.with_styles else [file for file in self._style_files if is_own_style(file)]

    @property
    def _style_files(self) -> list[Path]:
        return list(dict.fromkeys(style_file(file) for file in self.styled.values()))

    @property
    def needs_probability(self) -> bool:
        """Whether the probability is written, or polygons, a report or a table that contain it."""
        return any(file is not None for file in (self.probability, self.polygons, self.report, self.footprints))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the locks of all files, see `exclusive`."""
        with ExitStack() as stack:
            for file in (*self.files, *self.styles):
                stack.enter_context(exclusive(file))
            yield


def scene_outputs(
    mask: PathLike,
    probability: PathLike | None = None,
    polygons: PathLike | None = None,
    report: PathLike | None = None,
    inputs: Iterable[PathLike] = (),
    further: Iterable[str] = (),
    with_styles: bool = True,
    footprints: PathLike | None = None,
) -> Outputs:
    """Return the output files of a scene.

    Args:
        mask: GeoTIFF of the main map; this and the others as for `predict_scene`.
        probability: GeoTIFF of the probability.
        polygons: File of the changed areas.
        report: HTML page.
        inputs: Files that are read.
        further: Names of further maps, each written next to the main one as `MASK_NAME.tif`.
        with_styles: Whether styles of QGIS are written next to rasters and polygons, and into a GeoPackage.
        footprints: Table of statistics per footprint.

    Raises:
        InputError: A file has another suffix than its format, is an input or another output, or cannot be written.
        MissingDependencyError: geopandas, or pyarrow for Parquet, is not installed.
    """
    target = output_path(mask, suffixes=RASTERS, purpose="the map of a scene is a GeoTIFF")
    raster = vector = page = None
    if probability is not None:
        raster = output_path(probability, suffixes=RASTERS, purpose="the probability of a scene is a GeoTIFF")
    if polygons is not None:
        vector = output_path(polygons, suffixes=tuple(POLYGONS), purpose="the format of polygons follows from the suffix")
        for module in ("geopandas", "pyarrow") if vector.suffix.lower() == ".parquet" else ("geopandas",):
            require(module, "geo", f"{vector}: writing polygons")
    if report is not None:
        page = output_path(report, suffixes=PAGES, purpose="a report is an HTML page")
        for module in ("shapely", "pyproj"):
            require(module, "geo", f"{page}: writing a report")
    table = None if footprints is None else table_output(footprints)
    maps = {name: target.with_stem(f"{target.stem}_{name}") for name in further}
    outputs = Outputs(target, raster, vector, page, maps, with_styles, table)
    named: dict[str, Path | None] = {"output": target, **{_title(name): file for name, file in maps.items()}}
    named |= {"probability": raster, "polygons": vector, "report": page, "footprint table": table}
    check_outputs({**named, **_named_styles(outputs)}, inputs)
    for file in outputs.files:
        try:
            str(file).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{file}: the path is not UTF-8, which GDAL requires; choose another one") from error
    return outputs


def _title(name: str) -> str:
    return f"the map {name} beside the output"


def style_file(path: Path) -> Path:
    """Return the file next to a raster or vector file in which QGIS looks for its style."""
    return path.with_suffix(STYLE)


def is_own_style(path: Path) -> bool:
    """Return whether a file is a style that this package wrote, and that QGIS did not save again."""
    try:
        with path.open("rb") as file:
            return _MARK in file.read(512)
    except OSError:
        return False


def _named_styles(outputs: Outputs) -> dict[str, Path]:
    """Return the style files that are written, each by its output; polygons share that of a raster of the same stem."""
    written = set(outputs.styles)
    styles = {name: style_file(file) for name, file in outputs.styled.items() if style_file(file) in written}
    rasters = [file for name, file in styles.items() if name != "polygons"]
    return {f"the style of {name}": file for name, file in styles.items() if name != "polygons" or file not in rasters}


def table_output(path: PathLike) -> Path:
    """Return the path of a table of statistics per footprint.

    Raises:
        InputError: The suffix is not in `io.vectors.WRITTEN`, or the folder does not exist.
        MissingDependencyError: geopandas, or pyarrow for Parquet, is not installed.
    """
    target = output_path(path, suffixes=tuple(WRITTEN), purpose="the format of the table follows from the suffix")
    check_vector_packages(target.suffix, f"{target}: writing polygons")
    return target


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert errors of the libraries that write a file to `InputError`, which tells how much space is left."""
    try:
        yield
    except CdzooError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        with suppress(OSError):
            reason += f"; {shutil.disk_usage(path.parent).free >> 20:,} MB are free on the disk"
        raise InputError(f"{path}: cannot be written ({reason})") from error
