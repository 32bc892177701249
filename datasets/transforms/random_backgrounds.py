"""Random backgrounds of transparent views: plain colours, gradients, textures, crops of views of other shapes.

A photographed object stands before something. A network that has only seen black behind objects takes whatever stands
there for part of the shape; one that sees another background in every epoch learns to leave it out.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from datasets.shapes.views import on_background

RANDOM = "random"  # as the name of a background
NUM_GRADIENTS, NUM_TEXTURES, SIDE = 32, 160, 128  # of the fields that are made once, and their pixels along a side
_BILINEAR = Image.Resampling.BILINEAR
_ZOOM = (0.2, 1.0)  # share of the side of a field that is shown
_CROP = (0.3, 1.0)  # share of the side of another view that is shown
_COARSE = (6, 25)  # pixels along a side of another view that is blurred, at least and below
_CELLS = (2, 12)  # of the coarsest noise along a side, at least and below
_LEVELS = np.arange(256.0)

DrawOther = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class RandomBackgrounds:
    """Lays views on backgrounds that a generator draws.

    Args:
        object_min: in (0, 1]; a view is shrunk to a share of its size from this to 1, and stands anywhere in the
            picture. 1 leaves it where it is and draws nothing.
    """

    object_min: float = 1.0

    def compose(self, view: np.ndarray, rng: np.random.Generator, draw_other: DrawOther) -> np.ndarray:
        """Draw a background and lay a view on it. Shape: (H, W, 3 or 4) uint8 -> (3, H, W) uint8.

        Args:
            draw_other: draws a view of another shape, (h, w, 3 or 4) uint8.
        """
        view = _with_opacity(view)
        background = draw_background(*view.shape[:2], rng, draw_other)
        if self.object_min < 1:
            view = _place(view, rng.uniform(self.object_min, 1.0), rng)
        return on_background(view, background)


def draw_background(height: int, width: int, rng: np.random.Generator, draw_other: DrawOther) -> np.ndarray:
    """Draw a plain colour (3,), or a gradient, a texture or a part of another view, (3, height, width) uint8.

    The four are equally likely. Behind the other view is a plain colour.
    """
    kind, colours = rng.integers(4), rng.uniform(0, 255, (3, 3))  # columns are colours
    colours += rng.random() * (colours.mean(axis=0) - colours)  # grey ones too: as grey as a render may be
    if kind == 0:
        return colours[:, 0]
    if kind == 3:
        return _draw_part(on_background(_with_opacity(draw_other(rng)), colours[:, 0]), height, width, rng)
    first, count = (0, NUM_GRADIENTS) if kind == 1 else (NUM_GRADIENTS, NUM_TEXTURES)
    field = _fields()[first + rng.integers(count)]
    part = field.resize((width, height), _BILINEAR, _draw_box(field.size, _ZOOM, rng))
    return _draw_palette(colours, rng).take(np.asarray(part), axis=1)


def _draw_palette(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a palette (3, 256) uint8 from the first of three colours over something like the second to the third."""
    contrast, middle = rng.random(2)
    colours = colours[:, :1] + (0.1 + 0.9 * contrast) * (colours - colours[:, :1])
    stops = (0.0, 40 + 175 * middle, 255.0)
    return np.stack([np.interp(_LEVELS, stops, channel) for channel in colours]).astype(np.uint8)


def _draw_part(picture: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Fill (3, height, width) with a random part of a picture (3, h, w), blurred half of the time."""
    planes = [Image.fromarray(plane) for plane in picture]
    box, coarse = _draw_box(planes[0].size, _CROP, rng), int(rng.integers(*_COARSE))
    if rng.random() < 0.5:
        planes, box = [plane.resize((coarse, coarse), _BILINEAR, box) for plane in planes], None
    return np.stack([np.asarray(plane.resize((width, height), _BILINEAR, box)) for plane in planes])


def _draw_box(size: tuple[int, int], share: tuple[float, float], rng: np.random.Generator) -> tuple[float, ...]:
    """Draw (left, upper, right, lower) of a part of a picture (width, height), of a random share of its sides."""
    zoom, left, upper = rng.random(3).tolist()
    zoom = share[0] + zoom * (share[1] - share[0])
    left, upper = left * (1 - zoom), upper * (1 - zoom)
    return left * size[0], upper * size[1], (left + zoom) * size[0], (upper + zoom) * size[1]


@cache
def _fields() -> list[Image.Image]:
    """Make the grey pictures of which backgrounds are coloured parts: gradients, then textures; always the same."""
    rng = np.random.default_rng(0)
    fields = [_gradient(rng) for _ in range(NUM_GRADIENTS)]
    fields += [_TEXTURES[number % len(_TEXTURES)](rng) for number in range(NUM_TEXTURES)]
    return [Image.fromarray((255 * _unit_range(field)).astype(np.uint8)) for field in fields]


def _gradient(rng: np.random.Generator) -> np.ndarray:
    """Draw a ramp along a line, or away from a point."""
    u, v = _turned_axes(rng)
    return u if rng.random() < 0.5 else np.hypot(u - rng.uniform(-1, 1), v - rng.uniform(-1, 1))


def _noise(rng: np.random.Generator, stretch: int = 1) -> np.ndarray:
    """Draw smooth noise of three octaves, (SIDE, SIDE) in [0, 1], `stretch` times as fine along the height."""
    cells, total = int(rng.integers(*_CELLS)), np.zeros((SIDE, SIDE))
    for octave in range(3):
        grid = Image.fromarray(rng.random((cells * stretch << octave, cells << octave), dtype=np.float32))
        total += np.asarray(grid.resize((SIDE, SIDE), _BILINEAR)) / 2**octave
    return _unit_range(total)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    """Draw soft or sharp, straight or bent stripes."""
    phase = _draw_count(rng) * (_turned_axes(rng)[0] + rng.uniform(0, 0.3) * _noise(rng))
    return np.minimum(np.sin(2 * math.pi * phase), rng.uniform(-0.5, 1.0))


def _checks(rng: np.random.Generator) -> np.ndarray:
    """Draw a chequered pattern with a little noise: tiles."""
    u, v = (_draw_count(rng) * axis for axis in _turned_axes(rng))
    return (np.floor(u) + np.floor(v)) % 2 + rng.uniform(0, 0.5) * _noise(rng)


def _wood(rng: np.random.Generator) -> np.ndarray:
    """Draw bent rings with fine fibres across: the grain of wood."""
    phase = _draw_count(rng) * (_turned_axes(rng)[0] + rng.uniform(0.3, 1.0) * _noise(rng))
    return phase % 1 + rng.uniform(0.2, 1.0) * _noise(rng, stretch=8)


_TEXTURES = (_noise, _stripes, _checks, _wood)


def _draw_count(rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(1.5), math.log(16)))


def _turned_axes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two axes at right angles, turned by a random angle, (SIDE, SIDE) within about -1 .. 1."""
    angle, ticks = rng.uniform(0, 2 * math.pi), np.linspace(-1, 1, SIDE)
    x, y = ticks[None], ticks[:, None]
    return math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x


def _unit_range(values: np.ndarray) -> np.ndarray:
    """Shift and scale values to 0 .. 1."""
    return (values - values.min()) / np.ptp(values)


def _with_opacity(pixels: np.ndarray) -> np.ndarray:
    """Add an opacity of 255 where a picture has none."""
    if pixels.shape[2] == 4:
        return pixels
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def _place(view: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Shrink a view and put it anywhere into a transparent picture of its former size. Shape: (H, W, 4) -> the same."""
    height, width = (max(1, round(share * side)) for side in view.shape[:2])
    placed = np.zeros_like(view)
    top, left = rng.integers(view.shape[0] - height + 1), rng.integers(view.shape[1] - width + 1)
    small = Image.fromarray(view).resize((width, height), _BILINEAR)  # weighs colours by opacity
    placed[top : top + height, left : left + width] = np.asarray(small)
    return placed
