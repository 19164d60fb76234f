"""Inputs: files of the local file system."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cdzoo.errors import InputError
from cdzoo.io.files import PathLike


def existing_file(path: PathLike) -> Path:
    """Return the path of an image or raster after checking that it is a file.

    Raises:
        InputError: There is no such file; the path is a folder, a broken link, a name of GDAL's for data in archives, in other
            files or on servers, or no UTF-8, which libraries that read rasters require.
    """
    name = os.fspath(path)
    if os.path.isfile(name):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{name}: the name of the file is not UTF-8; rename it") from error
        return Path(path)
    if os.path.islink(name):
        raise InputError(f"{name}: a broken or circular link")
    if os.path.isdir(name):
        raise InputError(f"{name}: a folder, not an image")
    if re.match(r"/vsi\w+/|[\w+]{2,}:|<", name.lstrip()):
        raise InputError(
            f"{name}: names of data in archives, in other files or on servers are not taken; extract or download it, and pass "
            "the path of the file"
        )
    raise InputError(f"{name}: no such file")
