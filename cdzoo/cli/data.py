"""`cdzoo data`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cdzoo.cli.common import PICTURES, terminal_width
from cdzoo.io.files import output_path, replace_atomically
from cdzoo.io.outputs import check_outputs
from cdzoo.tables import align


def check(
    path: str = "",
    *,
    pairs: str | None = None,
    before: str | None = None,
    after: str | None = None,
    mask: str | None = None,
    exclude: list[str] = [],  # noqa: B006  # read only
    mask_encoding: str | None = None,
    label_attribute: str | None = None,
    classes: str | None = None,
    root: str | None = None,
    class_order: str | None = None,
    aoi: str | None = None,
    tile: int | None = None,
    block: float | None = None,
    holdout: float | None = None,
    sheet: str = "data_check.png",
) -> int:
    """Read every file of a data set and report problems. The exit code is 1 if there are any.

    Args:
        path: Folder of pairs, with or without train/, val/ and test/; or name of a data set (cdzoo data list).
        pairs: Table of pairs instead: a .csv file with the columns before, after, mask and, if there are splits, split.
        before: Images of the first date instead: a path with wildcards, such as 'x/*_pre.tif'; or a scene.
        after: Images of the second date, such as 'x/*_post.tif'.
        mask: Masks of the pairs of before and after, such as 'y/*.png'; or one file of polygons for all of them.
        exclude: Wildcards of sample names to leave out.
        mask_encoding: Values of the masks for no change, change and no label, such as 0/1/255, or threshold; detected by default.
        label_attribute: Attribute of labels that are polygons: their value in the masks, or the name of their class.
        classes: File that declares the classes of labels.
        root: Folder of a named data set; $CDZOO_DATA/NAME or data/NAME by default.
        class_order: Order of the classes of a named data set that has several (cdzoo data info NAME).
        aoi: Polygons of the area in which scenes are cut; a file such as area.gpkg.
        tile: Side of the windows that are cut from scenes, in pixels; 256 by default.
        block: Side of the blocks of ground by which scenes are split, in meters; two windows by default.
        holdout: Share of data without splits that is held out for validation, and the same for the test; 0.1 by default.
        sheet: Contact sheet to write.
    """
    from cdzoo.data.check import check_data, list_data
    from cdzoo.data.config import DataCfg
    from cdzoo.data.layout import find_splits
    from cdzoo.data.source import FileSource

    cfg = DataCfg(
        path,
        exclude=tuple(exclude),
        mask_encoding=mask_encoding,
        root=root,
        class_order=class_order,
        pairs=pairs,
        before=before,
        after=after,
        mask=mask,
        label_attribute=label_attribute,
        classes=classes,
        aoi=aoi,
        tile=tile,
        block=block,
        holdout=holdout,
    )
    picture = output_path(sheet, suffixes=PICTURES, purpose="the contact sheet is a picture")
    listings = list_data(cfg)
    source = FileSource(cfg)
    lists = [source.root] if source.listed else [*find_splits(source.root, source.layouts).values()]
    lists += [] if aoi is None else [Path(aoi)]
    check_outputs({"--sheet": picture}, inputs=[*lists, *(file for listing in listings.values() for file in listing.files)])
    report = check_data(cfg)
    for split in report.splits:
        sizes = ", ".join(f"{count} of {width}x{height}" for (height, width), count in split.sizes.most_common())
        kind = f"windows in {split.blocks} block(s) of ground" if split.blocks else "pairs"
        print(f"{split.name}: {split.pairs} {kind} ({sizes or 'none'})")
        print(f"  images   {split.described_formats or 'none'}")
        for target, shares in split.classes.items():
            print(f"  {target:<12}{', '.join(f'{name} {share:.2%}' for name, share in shares.items())}")
        encoding = split.encoding.value if split.encoding else "not detected"
        void = f", {split.unlabeled:.2%} without a label" if split.unlabeled else ""
        of = "labeled pixels" if split.unlabeled else "pixels"
        if not split.classes:
            print(
                f"  masks    {encoding}; {split.changed:.2%} of the {of} changed{void}, "
                f"{split.unchanged_pairs} {'windows' if split.blocks else 'pairs'} without change"
            )
        if split.no_data:
            print(f"  no data  {split.no_data:.2%} of the pixels of the images, which are left out of training and scores")
    for note in report.notes:
        print(f"note: {note}")
    if report.sheet is not None:
        with replace_atomically(picture) as temporary:
            report.sheet.save(temporary)
        print(f"contact sheet: {picture}")
    return _print_problems(report.problems, "no problems")


def make(folder: str, *, count: int = 20, size: int = 128) -> None:
    """Write a small example data set: generated pairs of aerial scenes with masks of what changed.

    Args:
        folder: Folder to create.
        count: Number of pairs.
        size: Side of the images in pixels.
    """
    from cdzoo.data.example import write_example

    write_example(Path(folder), count, size)
    print(f"{folder}: {count} pairs of {size}x{size}; train on them with: cdzoo train --model glmamba_tiny --data {folder}")


def show_datasets() -> None:
    """List the named data sets and the protocols."""
    from cdzoo.data.datasets import dataset_info, list_datasets
    from cdzoo.data.listing import SPLITS
    from cdzoo.data.protocols import get_protocol, list_protocols

    rows = []
    for info in map(dataset_info, list_datasets()):
        counts = " / ".join(str(info.splits.get(split, "-")) for split in SPLITS) if info.splits else "none official"
        rows.append((info.name, counts, f"{info.task}: {info.description}" if info.class_names else info.description))
    print("data sets: pairs for train / val / test")
    print(align(rows, terminal_width()))
    print("protocols")
    protocols = map(get_protocol, list_protocols())
    named = [(protocol.dataset or "any folder", *str(protocol).split(": ", 1)) for protocol in protocols]
    print(align(named, terminal_width()))


def show_dataset(name: str, *, root: str | None = None) -> int:
    """Describe a data set, and check whether it is complete. The exit code is 1 if it is not.

    Args:
        name: Data set (cdzoo data list).
        root: Its folder; $CDZOO_DATA/NAME or data/NAME by default.
    """
    from cdzoo.data.datasets import dataset_info
    from cdzoo.data.source import data_root
    from cdzoo.data.splits import split_ratio

    dataset = dataset_info(name)
    folder = Path(root) if root else data_root(name)
    orders = (f"{order}: {', '.join(labels.class_names)}" for order, labels in dataset.class_orders.items())
    facts = {
        "what": dataset.description,
        "task": dataset.task if dataset.class_names else "",
        "classes": ", ".join(dataset.class_names),
        "orders": "; ".join(orders),
        "events": ", ".join(dataset.events),
        "resolution": f"{dataset.resolution} m",
        "images": f"{dataset.image_size}x{dataset.image_size}" if dataset.image_size else "of different sizes",
        "splits": _counts(dataset.splits) or f"none official; cdzoo splits the scenes {split_ratio(dataset.split_parts)}",
        "license": dataset.license,
        "paper": dataset.paper,
        "page": dataset.homepage,
        "get": dataset.files,
        "layout": dataset.layout,
        "folder": "" if dataset.generate else f"{folder} (set CDZOO_DATA for another folder than data/)",
    }
    print(dataset.title)
    print(align([(f"{label:<10}", text) for label, text in facts.items() if text], terminal_width()))
    if dataset.generate is not None:
        return 0
    print(dataset.citation)
    if not folder.is_dir():
        print(f"not downloaded: there is no folder {folder}")
        return 0
    return _print_problems(dataset.verify(folder), f"complete in {folder}")


def _print_problems(problems: Sequence[str], success: str) -> int:
    """Print problems, or `success` if there are none; return the exit code."""
    for problem in problems:
        print(f"problem: {problem}")
    print(f"{len(problems)} problem(s)" if problems else success)
    return 1 if problems else 0


def _counts(splits: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in splits.items())
