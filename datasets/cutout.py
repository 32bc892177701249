"""Cutting an object out of a photo whose background is smooth, and framing it as renders are framed."""

import numpy as np
from PIL import Image
from scipy import ndimage

MAX_SIDE = 512  # larger photos are reduced first
MARGIN = 0.1  # of the side of the framed picture, around the object
_RING = 0.04  # of the shorter side: the border that is taken for background
_TOLERANCE = 30.0  # least distance in RGB, 0 .. 255, at which a pixel differs from the background
_SPREADS = 4.0  # standard deviations of the border at which it does
_SPECK = 0.02  # pieces below this share of the largest are noise


def cut_background(image: Image.Image) -> Image.Image:
    """Make transparent what continues the border's colours, and frame the rest in a square.

    The background is a quadratic surface in each colour, fitted to a ring at the border and followed inwards. It fits
    walls, skies and table tops, not a cluttered room, and a dark shadow stays with the object.

    Args:
        image: RGB, the object not touching most of the border.
    Returns:
        RGBA, square.
    Raises:
        ValueError: nothing, or nearly all, differs from the background.
    """
    image = image.convert("RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    pixels = np.asarray(image, dtype=np.float64)
    is_object = _keep_large(~_from_border(_is_like_border(pixels)))
    share = is_object.mean()
    if not 0.005 < share < 0.95:
        raise ValueError(f"{100 * share:.0f} % of the picture differs from its border: no object to cut out")
    return _frame(np.dstack([pixels, 255 * is_object]).astype(np.uint8))


def _is_like_border(pixels: np.ndarray) -> np.ndarray:
    """(H, W) bool: near the colour that a quadratic surface through the border has there."""
    height, width = pixels.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)  # (H, W, 6)
    ring = max(1, round(_RING * min(height, width)))
    is_border = np.ones((height, width), dtype=bool)
    is_border[ring:-ring, ring:-ring] = False
    used = is_border
    for _ in range(3):  # what the object covers of the border is left out by and by
        surface = np.linalg.lstsq(terms[used], pixels[used], rcond=None)[0]
        distance = np.linalg.norm(pixels - terms @ surface, axis=-1)
        spread = np.sqrt(np.mean(distance[used] ** 2))
        used = is_border & (distance <= max(2 * spread, 1.0))
    smooth = ndimage.uniform_filter(pixels - terms @ surface, size=(3, 3, 1))
    return np.linalg.norm(smooth, axis=-1) < max(_TOLERANCE, _SPREADS * spread)


def _from_border(is_like: np.ndarray) -> np.ndarray:
    """The pieces of a mask that reach the border."""
    pieces, _ = ndimage.label(is_like)
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    return np.isin(pieces, border[border > 0])


def _keep_large(mask: np.ndarray) -> np.ndarray:
    pieces, number = ndimage.label(mask)
    if number == 0:
        return mask
    sizes = np.bincount(pieces.ravel())[1:]
    return np.isin(pieces, 1 + np.flatnonzero(sizes >= _SPECK * sizes.max()))


def _frame(rgba: np.ndarray) -> Image.Image:
    """The opaque part in the middle of a square."""
    rows, columns = (np.flatnonzero(rgba[..., 3].any(axis=axis)) for axis in (1, 0))
    part = Image.fromarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    side = round(max(part.size) / (1 - 2 * MARGIN))
    framed = Image.new("RGBA", (side, side))
    framed.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
    return framed
