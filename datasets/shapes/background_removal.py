"""Removal of a photo's smooth background, and framing of the object as in rendered views."""

import numpy as np
from PIL import Image
from scipy import ndimage

MAX_SIDE = 512  # pixels; larger photos are reduced first
MARGIN = 0.1  # of the side of the framed picture, around the object
_RING = 0.04  # width of the border taken as background, relative to the shorter side
_TOLERANCE = 30.0  # smallest distance in RGB, 0 .. 255, at which a pixel can differ from the background
_SPREADS = 4.0  # the same in standard deviations of the border; the larger of the two decides
_SHADE = (0.5, 1.1)  # the background times a factor in this range still counts as background: a shadow
_SPECK = 0.02  # pieces below this share of the largest are noise


def cut_background(image: Image.Image) -> Image.Image:
    """Make the background and shadows on it transparent, and frame the object in a square.

    The background is modelled as a quadratic surface in each colour, fitted to a ring at the border. This suits walls,
    skies and table tops but not a furnished room; parts of the object in the background's colour are lost.

    Args:
        image: RGB, the object not touching most of the border.
    Returns:
        RGBA, square.
    Raises:
        ValueError: nothing or nearly everything differs from the background.
    """
    image = image.convert("RGB")
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    pixels = np.asarray(image, dtype=np.float64)
    is_object = ndimage.binary_erosion(_keep_large(_differs_from_border(pixels)))  # drops the blended rim
    share = 100 * is_object.mean()
    if not 0.5 < share < 95:
        raise ValueError(f"{share:.0f} % of the picture differs from its border: no object to cut out")
    return _frame(np.dstack([pixels, 255 * is_object]).astype(np.uint8))


def _differs_from_border(pixels: np.ndarray) -> np.ndarray:
    """Mark the pixels (H, W) far from the background's colour there, lit or in shadow."""
    height, width = pixels.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)  # (H, W, 6)
    ring = max(1, round(_RING * min(height, width)))
    is_border = np.ones((height, width), dtype=bool)
    is_border[ring:-ring, ring:-ring] = False
    used = is_border
    for _ in range(3):  # each round drops border pixels that the object covers
        background = terms @ np.linalg.lstsq(terms[used], pixels[used], rcond=None)[0]  # (H, W, 3)
        distance = np.linalg.norm(pixels - background, axis=-1)
        spread = np.sqrt(np.mean(distance[used] ** 2))
        used = is_border & (distance <= max(2 * spread, 1.0))
    smooth = ndimage.uniform_filter(pixels, size=(3, 3, 1))
    length = np.maximum((background**2).sum(axis=-1), 1.0)
    shade = np.clip((smooth * background).sum(axis=-1) / length, *_SHADE)[..., None]
    return np.linalg.norm(smooth - shade * background, axis=-1) > max(_TOLERANCE, _SPREADS * spread)


def _keep_large(mask: np.ndarray) -> np.ndarray:
    """Remove the small pieces of a mask."""
    pieces, number = ndimage.label(mask)
    if number == 0:
        return mask
    sizes = np.bincount(pieces.ravel())[1:]
    return np.isin(pieces, 1 + np.flatnonzero(sizes >= _SPECK * sizes.max()))


def _frame(rgba: np.ndarray) -> Image.Image:
    """Centre the opaque part in a square."""
    rows, columns = (np.flatnonzero(rgba[..., 3].any(axis=axis)) for axis in (1, 0))
    part = Image.fromarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    side = round(max(part.size) / (1 - 2 * MARGIN))
    framed = Image.new("RGBA", (side, side))
    framed.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
    return framed
