"""The data named on the command line."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from cdzoo.errors import ConfigError

NAMES = ("data", "protocol", "exclude", "val", "value_range", "mask_encoding")


def add_data(parser: ArgumentParser, required: bool = True, val: bool = False) -> None:
    """Add the options that say which data are meant and how they are read."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data", type=str, required=required, help="folder of pairs, name of a data set, synthetic or synthetic:N"
    )
    group.add_argument("--protocol", type=str, help="how to cut and score (cdzoo data list); the data set's default")
    group.add_argument("--exclude", type=str, default=[], nargs="+", help="names of pairs to leave out (wildcards)")
    group.add_argument(
        "--value_range", type=tuple[float, float], help="values that are black and white in deep images: '[0, 4095]'"
    )
    group.add_argument("--mask_encoding", type=str, help="0/1, 0/255 or threshold; recognised otherwise")
    if val:
        group.add_argument("--val", type=str, help="another folder for the validation pairs")


def data_cfg(options: dict[str, Any]) -> Any:
    """Take the options of `add_data` out of `options` and return a `DataCfg`.

    Raises:
        ConfigError: A value is not usable.
    """
    from cdzoo.data.masks import MaskEncoding
    from cdzoo.data.open import DataCfg

    values = {name: options.pop(name) for name in NAMES if name in options}
    value_range = values.get("value_range")
    if value_range is not None:
        values["value_range"] = low, high = tuple(value_range)
        if not low < high:
            raise ConfigError(f"--value_range takes black, then white: got {low:g} and {high:g}")
    if values.get("mask_encoding") is not None:
        known = [encoding.value for encoding in MaskEncoding]
        if values["mask_encoding"] not in known:
            raise ConfigError(f"--mask_encoding takes {', '.join(known)}, got '{values['mask_encoding']}'")
        values["mask_encoding"] = MaskEncoding(values["mask_encoding"])
    values["exclude"] = tuple(values.get("exclude") or ())
    return DataCfg(**values)
