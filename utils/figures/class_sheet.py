"""A sheet of pictures by class, of any number of shapes: drawn by Pillow, which takes a second for a thousand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from datasets.shapes.views import load_view
from utils.files import write_atomically

_PER_LINE, _SIDE, _GAP = 10, 104, 8
_TEXT, _HEADING = 15, 34  # heights of a line below a picture and above a class, pixels
_MOST = 40  # pictures of a class
_FRAME = "#D55E00"


class Tile(NamedTuple):
    """A file of a picture with a line of text below it, and whether a frame marks it."""

    path: Path
    text: str
    is_marked: bool = False


def class_sheet(classes: Mapping[str, Sequence[Tile]], legend: str = "") -> Image.Image:
    """Draw a heading and the pictures of each class, at most 40, from left to right; classes without any are named.

    Args:
        legend: what a frame says, written on top.
    """
    blocks = [(_heading(name, len(tiles)), tiles[:_MOST]) for name, tiles in classes.items()]
    line_height = _SIDE + _TEXT + _GAP
    top = _HEADING if legend else 0
    height = top + sum(_HEADING + -(-len(tiles) // _PER_LINE) * line_height for _, tiles in blocks)
    sheet = Image.new("RGB", (_PER_LINE * (_SIDE + _GAP) + _GAP, height + _GAP), "white")
    draw, y = ImageDraw.Draw(sheet), top
    bold, plain = _font("DejaVuSans-Bold.ttf", 16), _font("DejaVuSans.ttf", 11)
    draw.text((_GAP, 9), legend, fill=_FRAME, font=plain)
    for heading, tiles in blocks:
        draw.text((_GAP, y + 9), heading, fill="black", font=bold)
        y += _HEADING
        for number, tile in enumerate(tiles):
            line, column = divmod(number, _PER_LINE)
            left, upper = _GAP + column * (_SIDE + _GAP), y + line * line_height
            sheet.paste(load_view(tile.path, "white").resize((_SIDE, _SIDE)), (left, upper))
            if tile.is_marked:
                draw.rectangle((left - 3, upper - 3, left + _SIDE + 2, upper + _SIDE + 2), outline=_FRAME, width=3)
            draw.text((left, upper + _SIDE + 2), _shortened(tile.text, plain), fill="black", font=plain)
        y += -(-len(tiles) // _PER_LINE) * line_height
    return sheet


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a PNG of at most 256 colours."""
    small = sheet.quantize(256, dither=Image.Dither.NONE)
    write_atomically(path, lambda stream: small.save(stream, format="PNG", optimize=True))


def _heading(name: str, count: int) -> str:
    more = f", the first {_MOST} shown" if count > _MOST else ""
    return f"{name}: {count} {'shape' if count == 1 else 'shapes'}{more}"


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _shortened(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Cut the beginning off a text that is wider than a picture."""
    cut = text
    while cut and font.getlength("…" * (cut != text) + cut) > _SIDE:
        cut = cut[1:]
    return text if cut == text else f"…{cut}"
