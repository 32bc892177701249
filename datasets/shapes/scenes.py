"""Photo-like pictures of rendered objects, for scoring: before a smooth background, and in a furnished room.

Nothing of this is drawn by the random backgrounds of a training (datasets/transforms/random_backgrounds.py): a room has
a wall with a window, a floor of boards in perspective, and several other objects that stand there with their shadows.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

_SHARE = (0.45, 0.8)  # of the picture's side that the object takes
_OTHER_SHARE = (0.25, 0.6)
_MARGIN = 0.04  # of the picture's side, around the object
_SHADOW = 0.45  # of the light is missing there
_GRAIN = 2.0  # standard deviation of a camera's noise, 0 .. 255


def smooth_picture(view: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Put an object anywhere before a smooth background of a strong colour, with its shadow.

    Renders are grey where their meshes have no colours, and grey on grey is taken for a shadow when it is cut out.

    Args:
        view: RGBA, (H, W, 4) uint8.
    Returns:
        RGB, square, the object at the resolution of the view.
    Raises:
        ValueError: nothing in the view is opaque.
    """
    thing, side = _framed(view, rng)
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    slope = sum(rng.uniform(-14, 14) * term for term in (x, y, x * x, x * y, y * y))
    paper = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.55, 0.95), rng.uniform(0.65, 0.95))
    picture = _image(255 * np.array(paper) + slope[..., None])
    _stand(picture, thing, _anywhere(thing, side, rng))
    return _grainy(picture, rng)


def furnished_picture(view: np.ndarray, others: Sequence[np.ndarray], rng: np.random.Generator) -> Image.Image:
    """Put an object in a room, in front of other objects. Args, returns and raises as `smooth_picture`.

    Args:
        others: views of other objects, each RGBA; half of them get another colour.
    """
    thing, side = _framed(view, rng)
    horizon = int(side * rng.uniform(0.4, 0.65))
    picture = Image.fromarray(np.concatenate([_wall(horizon, side, rng), _floor(side - horizon, side, rng)]))
    _window(picture, horizon, rng)
    feet = np.sort(rng.uniform(horizon / side, 1.1, len(others)))  # those behind first
    for other, foot in zip(others, feet):
        piece = _cut_out(other)
        piece = _tinted(piece, rng) if rng.random() < 0.5 else piece
        factor = rng.uniform(*_OTHER_SHARE) * side / max(piece.size)
        piece = piece.resize([max(1, round(factor * length)) for length in piece.size])
        _stand(picture, piece, (int(rng.uniform(-0.15, 0.95) * side), int(foot * side) - piece.height))
    _stand(picture, thing, _anywhere(thing, side, rng))
    return _grainy(picture, rng)


def _framed(view: np.ndarray, rng: np.random.Generator) -> tuple[Image.Image, int]:
    """Cut the object out of its view; draw the side of its picture."""
    thing = _cut_out(view)
    return thing, round(max(thing.size) / rng.uniform(*_SHARE))


def _cut_out(view: np.ndarray) -> Image.Image:
    image = Image.fromarray(view, "RGBA")
    box = image.getchannel("A").getbbox()
    if box is None:
        raise ValueError("nothing in the view is opaque")
    return image.crop(box)


def _anywhere(thing: Image.Image, side: int, rng: np.random.Generator) -> tuple[int, int]:
    margin = int(_MARGIN * side)
    left, top = (int(rng.integers(margin, max(margin, side - margin - length) + 1)) for length in thing.size)
    return left, top


def _stand(picture: Image.Image, thing: Image.Image, place: tuple[int, int]) -> None:
    """Paste an object and, before it, a soft shadow below to the right."""
    opacity, reach = thing.getchannel("A"), max(1, max(thing.size) // 12)
    shadow = Image.new("L", (thing.width + 4 * reach, thing.height + 4 * reach))
    shadow.paste(opacity.point(lambda value: value * _SHADOW), (2 * reach, 2 * reach))
    shadow = shadow.filter(ImageFilter.GaussianBlur(reach / 2))
    picture.paste((0, 0, 0), (place[0] - reach, place[1] - reach), shadow)
    picture.paste(thing, place, opacity)


def _tinted(thing: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Give an object another colour of its own."""
    pixels = np.asarray(thing) * np.append(rng.uniform(0.35, 1.0, 3), 1.0)
    return Image.fromarray(pixels.astype(np.uint8), "RGBA")


def _wall(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Paint a wall in faint wallpaper, darker to one side and above. Shape: -> (height, width, 3) uint8."""
    colour = rng.uniform(90, 235) + rng.uniform(-30, 30, 3)
    light = (
        1 - rng.uniform(0, 0.35) * np.linspace(1, 0, height)[:, None] - rng.uniform(0, 0.3) * np.linspace(0, 1, width)
    )
    band = (np.arange(width) // max(2, width // int(rng.integers(6, 20)))) % 2
    light = light - rng.uniform(0, 0.12) * band
    return np.clip(light[..., None] * colour, 0, 255).astype(np.uint8)


def _floor(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Paint boards that meet at the horizon. Shape: -> (height, width, 3) uint8."""
    depth = (np.arange(height) + 2.0)[:, None] / height
    across = (np.arange(width) / width - rng.uniform(0.2, 0.8)) / depth
    board = np.floor(across * rng.uniform(4, 12)).astype(int) % 64
    light = rng.uniform(0.75, 1.0, 64)[board] * (0.75 + 0.25 * depth)
    colour = rng.uniform(60, 190) + np.array([30, 5, -20]) * rng.uniform(0, 1.5)
    return np.clip(light[..., None] * colour, 0, 255).astype(np.uint8)


def _window(picture: Image.Image, horizon: int, rng: np.random.Generator) -> None:
    """Paint a framed rectangle on the wall, a window or a picture."""
    width, height = (max(3, int(rng.uniform(0.2, 0.5) * length)) for length in (picture.width, horizon))
    left, top = int(rng.uniform(0, picture.width - width)), int(rng.uniform(0, max(1, horizon - height)))
    frame, glass = (tuple(int(value) for value in rng.uniform(low, 255, 3)) for low in (20, 120))
    box, line = (left, top, left + width, top + height), max(1, picture.width // 60)
    ImageDraw.Draw(picture).rectangle(box, fill=glass, outline=frame, width=line)


def _grainy(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(picture, dtype=np.float32)
    return _image(pixels + _GRAIN * rng.standard_normal(pixels.shape, dtype=np.float32))


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
