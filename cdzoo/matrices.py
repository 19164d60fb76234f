"""Pictures of confusion and transition matrices, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_CELL, _SMALL_CELL = 58, 18
_NUMBERS = 16
"""Largest number of classes with a number in each cell."""
_MARGIN, _GAP = 16, 8
_DARK = (20, 70, 140)


def matrix_picture(
    matrix: Sequence[Sequence[int]], names: Sequence[str], title: str, rows: str, columns: str, by_column: bool = True
) -> Image.Image:
    """Draw a matrix of pixel counts: shares in percent, as numbers (for up to 16 classes) and as blue of different depth.

    Args:
        matrix: Number of pixels by row and column.
        names: Name of each row and column.
        title: Title.
        rows: What the rows are.
        columns: What the columns are.
        by_column: Show shares of each column, instead of shares of the whole matrix.
    """
    numbers = len(names) <= _NUMBERS
    cell, font = _CELL if numbers else _SMALL_CELL, ImageFont.load_default(size=14 if numbers else 11)
    heading = ImageFont.load_default(size=16)
    label = max(int(font.getlength(name)) for name in names) + _GAP
    left, top = _MARGIN + 32 + label, _MARGIN + 60 + label
    width = max(left + len(names) * cell, _MARGIN + int(heading.getlength(title))) + _MARGIN
    sheet = Image.new("RGB", (width, top + len(names) * cell + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, fill="black", font=heading, anchor="lt")
    draw.text((left + len(names) * cell / 2, _MARGIN + 34), columns, fill="gray", font=heading, anchor="mm")
    _paste_vertical(sheet, rows, heading, "gray", _MARGIN + 10, top + len(names) * cell // 2, centered=True)
    whole = max(1, sum(map(sum, matrix)))
    totals = [max(1, sum(column)) if by_column else whole for column in zip(*matrix, strict=True)]
    shares = [[count / total for count, total in zip(row, totals, strict=True)] for row in matrix]
    largest = 1.0 if by_column else max(1e-9, max(map(max, shares)))
    for row, name in enumerate(names):
        y = top + row * cell
        draw.text((left - _GAP, y + cell / 2), name, fill="black", font=font, anchor="rm")
        _paste_vertical(sheet, name, font, "black", left + row * cell + cell // 2, top - _GAP)
        for column, share in enumerate(shares[row]):
            x, depth = left + column * cell, share / largest
            color = tuple(round(255 + (dark - 255) * depth**0.7) for dark in _DARK)
            draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=color, outline=(225, 225, 225))
            if numbers and matrix[row][column]:
                text = f"{100 * share:.1f}" if share >= 0.0005 else "<0.1"
                draw.text((x + cell / 2, y + cell / 2), text, fill="white" if depth > 0.5 else "black", font=font, anchor="mm")
    return sheet


def _paste_vertical(
    sheet: Image.Image,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    fill: str,
    x: int,
    y: int,
    centered: bool = False,
) -> None:
    """Draw a text from bottom to top around column `x`, which ends above `y` or is centered there."""
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("RGB", (int(right - left) + 2, int(bottom - top) + 2), "white")
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, fill=fill, font=font)
    picture = picture.rotate(90, expand=True)
    sheet.paste(picture, (x - picture.width // 2, y - (picture.height // 2 if centered else picture.height)))
