"""Ranges of values of a data set that are told from its images, or are those that weights were trained with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cdzoo.data.config import DataCfg
from cdzoo.data.listing import PairFiles
from cdzoo.errors import InputError
from cdzoo.io.band_names import are_trained_bands
from cdzoo.io.images import band_names, image_format
from cdzoo.io.value_ranges import Told, describe_told, needs_range, sample_values, tell_scalings
from cdzoo.io.values import values_mismatch

OPTIONS = ("value_range", "value_range_after", "percentiles", "percentiles_after", "decibels")
"""Options that say how stored values become [0, 1]."""
_SAMPLED = 6  # pairs


def trained_options(stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options about values that weights were trained with, given the options of their data; empty if none."""
    found = {name: (stored or {}).get(name) for name in OPTIONS}
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    return options if any(options.values()) else {}


def with_trained_bands(
    cfg: DataCfg, pairs: Sequence[PairFiles], counts: tuple[int, ...], trained: Mapping[str, Any] | None
) -> tuple[DataCfg, list[str]]:
    """Return data options with the bands that weights were trained on, see `are_trained_bands`, and a note about them."""
    stored = {name: tuple(value) for name in ("bands", "bands_after") if (value := (trained or {}).get(name))}
    # Bands of the first date are those of both.
    found: dict[str, Any] = (
        {} if cfg.bands is not None else {name: own for name, own in stored.items() if getattr(cfg, name) is None}
    )
    first = found.get("bands")
    if not pairs or not found:
        return cfg, []
    if first is not None and not are_trained_bands(band_names(pairs[0].images[0]), first, counts[0]):
        return cfg, []
    shown = " ".join(f"--{name.replace('_', '-')} {' '.join(map(str, own))}" for name, own in found.items())
    return replace(cfg, **found), [f"{cfg.title}: bands as in the training of the weights, {shown}"]


def with_ranges(
    cfg: DataCfg, pairs: Sequence[PairFiles], title: str, trained: Mapping[str, Any] | None = None
) -> tuple[DataCfg, list[str]]:
    """Return data options with ranges for images of more than 8 bits that have none, and notes about them.

    The ranges are those that weights were trained with, or are told from a sample of the pairs, see `tell_scalings`. Options
    stay without a range where nothing can be told; reading the images asks for one.

    Args:
        cfg: Data set and reading options.
        pairs: Pairs of the data set, all of them pairs of images.
        title: Name of the data for the notes.
        trained: Options of the data that weights were trained on.

    Raises:
        InputError: An image cannot be read.
    """
    if not pairs or len(pairs[0].images) != 2:
        return cfg, []
    kinds = [image_format(path)[3] for path in pairs[0].images]
    scalings = list(cfg.scalings)
    missing = [number for number in (0, 1) if needs_range(kinds[number], scalings[number])]
    if not missing:
        return cfg, []
    is_given = any(getattr(cfg, name) is not None for name in OPTIONS)
    if not is_given and (options := trained_options(trained)):
        shown = " ".join(f"--{name.replace('_', '-')} {_text(value)}" for name, value in options.items() if value is not None)
        return replace(cfg, **options), [f"{title}: values as in the training of the weights, {shown}"]
    told = tell_pairs(pairs)
    found = {number: one for number in missing if (one := told[number]) is not None}
    if len(found) < len(missing):
        return cfg, []
    for number, one in found.items():
        scalings[number] = one.scaling
    first, second = scalings
    decibels = {(True, True): "both", (True, False): "before", (False, True): "after"}.get((first.decibels, second.decibels))
    options = {"value_range": first.value_range, "percentiles": first.percentiles, "decibels": decibels}
    if (first.value_range, first.percentiles) != (second.value_range, second.percentiles):
        later = (0.0, 255.0) if second.value_range is second.percentiles is None else second.value_range
        options |= {"value_range_after": later, "percentiles_after": second.percentiles}
    return replace(cfg, **options), describe_told(_named(title, found), kinds, found)


def _named(title: str, found: Mapping[int, Told]) -> list[str]:
    alike = len({one.text for one in found.values()}) < len(found)
    return [title] * 2 if alike else [f"{title}, before", f"{title}, after"]


def _text(value: Any) -> str:
    return " ".join(f"{number:g}" for number in value) if isinstance(value, tuple) else str(value)


def check_equal_values(pairs: Sequence[PairFiles], title: str) -> None:
    """Check that the stored numbers of all dates mean the same, where neither ranges are given nor can be told.

    Raises:
        InputError: They do not; all affected files are listed.
    """
    mismatches = [values_mismatch(pair.images[0], path) for pair in pairs for path in pair.images[1:]]
    if problems := [f"{problem}; bring them to one" for problem in mismatches if problem]:
        hint = "give a range for each date, --value-range and --value-range-after, or leave pairs out with --exclude NAME"
        raise InputError("\n".join([f"{title}: {len(problems)} file(s) cannot be used; {hint}", *problems]))


def are_told(pairs: Sequence[PairFiles]) -> bool:
    """Return whether the numbers of two dates mean other things, which are told of both."""
    try:
        if not pairs or len(pairs[0].images) != 2 or values_mismatch(*pairs[0].images) is None:
            return False
        kinds = [image_format(path)[3] for path in pairs[0].images]
    except InputError:
        return False
    return all(kind == "uint8" or one is not None for kind, one in zip(kinds, tell_pairs(pairs), strict=True))


def tell_pairs(pairs: Sequence[PairFiles]) -> tuple[Told | None, Told | None]:
    """Return what the numbers of each date of some pairs mean, from a sample of them; None where nothing can be told."""
    chosen = pairs[:: -(-len(pairs) // _SAMPLED)]
    try:
        first, second = ([sample_values(pair.images[date]) for pair in chosen] for date in (0, 1))
    except InputError:  # reading the pairs names the file
        return None, None
    return tell_scalings(first, second)


def describe_ranges(pairs: Sequence[PairFiles], title: str) -> list[str]:
    """Return notes about the ranges of values that training would use without options; of 8-bit images none."""
    kinds = [image_format(path)[3] for path in pairs[0].images] if pairs else []
    if {*kinds} <= {"uint8"} or len(kinds) != 2:
        return []
    found = {number: one for number, one in enumerate(tell_pairs(pairs)) if one is not None and kinds[number] != "uint8"}
    untold = [date for number, date in enumerate(("first", "second")) if kinds[number] != "uint8" and number not in found]
    asked = f"{title}: what the numbers of the {' and '.join(untold)} date mean is not told; training requires --value-range"
    return [*describe_told(_named(title, found), kinds, found), *([asked] if untold else [])]
