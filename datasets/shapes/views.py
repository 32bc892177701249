"""Decoding of rendered views onto a chosen background."""

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

Colour = str | tuple[int, int, int]

_COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255)}
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # a tag of TIFF, and its value where 0 is white
MAX_PIXELS = 2**26  # 8192 x 8192; bounds the memory that a damaged header can claim


def background_colour(background: Colour) -> tuple[int, int, int]:
    """Convert `black`, `white` or a triple of 0..255 to a triple; anything else is a ValueError."""
    rgb = _COLOURS.get(background, background) if isinstance(background, str) else tuple(background)
    if isinstance(rgb, str) or len(rgb) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in rgb):
        raise ValueError(f"background {background!r} is not black, white or three whole numbers from 0 to 255")
    return rgb


def open_view(path: Path) -> Image.Image:
    """Decode a picture in the mode in which it is stored.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a picture, truncated or damaged, or has more than MAX_PIXELS.
    """
    return decode_picture(path, str(path))


def decode_picture(source: Path | BinaryIO, name: str) -> Image.Image:
    """Decode a picture from a file or its bytes; `name` stands for it in messages. Raises as `open_view`."""
    try:
        with Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS} in all are read")
            image.load()
            return image
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, MemoryError, struct.error, Image.DecompressionBombError) as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{name} is not a readable picture ({reason}); render or download it again") from error


def load_colours(path: Path) -> Image.Image:
    """Decode a picture to RGBA if any of it may be transparent, else to RGB.

    Raises: as `open_view`, and a ValueError for a picture that has no 8-bit equivalent.
    """
    image = open_view(path)
    try:
        return plain_colours(image)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def load_view(path: Path, background: Colour = "black") -> Image.Image:
    """Decode a picture to RGB; transparent pixels show the background, never the colour hidden under them.

    Raises: as `load_colours`.
    """
    return flatten(load_colours(path), background)


def flatten(image: Image.Image, background: Colour = "black") -> Image.Image:
    """Convert a picture of any mode to RGB, transparent pixels laid on the background. Raises as `plain_colours`."""
    rgb = background_colour(background)
    image = plain_colours(image)
    if image.mode == "RGB":
        return image
    flat = Image.new("RGB", image.size, rgb)
    flat.paste(image, mask=image.getchannel("A"))
    return flat


def plain_colours(image: Image.Image) -> Image.Image:
    """Convert a picture to RGBA if any of it may be transparent, else to RGB, 8 bits a channel; 16 bits are scaled.

    Raises:
        ValueError: its values are floating-point or 32-bit numbers, whose range the file does not say.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _scaled_to_8_bits(image)  # Pillow would clip at 255
    if image.mode in ("I", "F"):
        raise ValueError(
            f"holds {'whole' if image.mode == 'I' else 'floating-point'} numbers of 32 bits, whose range it does not "
            "say: save it with 8 or 16 bits a channel"
        )
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to RGB, or to RGBA where one grey is marked as transparent."""
    stored = np.asarray(image)
    grey = np.rint(stored.astype(np.float64) / 257).astype(np.uint8)
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        return Image.fromarray(
            np.dstack([grey, np.where(stored == transparent, 0, 255).astype(np.uint8)]), "LA"
        ).convert("RGBA")
    return Image.fromarray(grey).convert("RGB")


def opaque_colours(image: Image.Image) -> Image.Image:
    """Convert a picture of any mode to RGB, leaving its transparency out. Raises as `plain_colours`."""
    return plain_colours(image).convert("RGB")


def on_background(pixels: np.ndarray, background: tuple[int, int, int] | np.ndarray) -> np.ndarray:
    """Lay a picture on a colour, or on another picture (3, H, W), as Pillow's `paste` does.

    Shape: (H, W, C) uint8 -> (3, H, W) uint8.
    """
    pixels = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    if len(pixels) == 3:
        return pixels
    opacity = pixels[3].astype(np.uint16)
    mixed = pixels[:3] * opacity
    mixed += 128
    behind = np.asarray(background, np.uint16)
    if behind.any():
        mixed += (behind if behind.ndim == 3 else behind[:, None, None]) * (np.uint16(255) - opacity)
    mixed += mixed >> 8  # division by 255, rounded; nothing exceeds 16 bits
    mixed >>= 8
    return mixed.astype(np.uint8)
