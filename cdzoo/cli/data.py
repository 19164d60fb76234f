"""`cdzoo data`."""

from __future__ import annotations

from pathlib import Path

from cdzoo.errors import InputError
from cdzoo.files import replace_atomically


def run_check(path: str, exclude: list[str], sheet: str) -> int:
    """Read a whole data set, print what it holds and everything that is wrong, and draw a contact sheet; 1 on problems."""
    from cdzoo.data.check import check_data

    picture = Path(sheet)
    if picture.suffix.lower() not in (".png", ".jpg", ".jpeg") or not picture.resolve().parent.is_dir():
        raise InputError(f"--sheet {sheet}: expected a .png or .jpg file in a folder that exists")
    report = check_data(path, exclude)
    for split in report.splits:
        sizes = ", ".join(f"{count} of {width}x{height}" for (height, width), count in split.sizes.most_common())
        print(f"{split.name}: {split.pairs} pairs ({sizes or 'none'})")
        print(f"  images   {', '.join(f'{count} with {one}' for one, count in split.formats.most_common()) or 'none'}")
        encoding = split.encoding.value if split.encoding else "not recognised"
        print(f"  masks    {encoding}; {split.changed:.2%} of the pixels changed, {split.unchanged_pairs} pairs without change")
    for note in report.notes:
        print(f"note: {note}")
    if report.sheet is not None:
        with replace_atomically(picture) as temporary:
            report.sheet.save(temporary)
        print(f"contact sheet: {picture}")
    for problem in report.problems:
        print(f"problem: {problem}")
    print(f"{len(report.problems)} problem(s)" if report.problems else "no problems")
    return 1 if report.problems else 0
