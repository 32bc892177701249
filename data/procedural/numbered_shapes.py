"""The built-in shapes by number: each is a function of (seed, category, split, index) alone."""

import numpy as np

from data.procedural.assembly import CATEGORIES, LabelledMesh
from data.procedural.dice import Dice
from data.procedural.families import FAMILIES

# One stream of random numbers per use, so that no two splits share a shape and sizes do not shift draws.
STREAMS = {"pretrain": 0, "train": 1, "val": 2, "test": 3, "clutter": 4}
_STRETCH = 0.08  # every shape is stretched by up to this much along each axis


def shape_rng(seed: int, category: str, split: str, index: int, purpose: int = 0) -> np.random.Generator:
    """Create the generator of one shape.

    Args:
        seed: of the whole data set, >= 0.
        category: a ShapeNetPart name.
        split: a key of STREAMS.
        index: number of the shape within category and split, >= 0.
        purpose: 0 for the mesh; other whole numbers give independent streams, e.g. to sample it.
    """
    number = list(CATEGORIES).index(category)
    return np.random.default_rng((seed, number, STREAMS[split], index, purpose))


def make_shape(seed: int, category: str, split: str, index: int) -> LabelledMesh:
    """Build one labelled mesh, y up, bounding-box centre 0 and diagonal 1; arguments as in `shape_rng`."""
    rng = shape_rng(seed, category, split, index)
    dice = Dice(rng)
    assembly = FAMILIES[category](dice)
    mesh = assembly.finish(rng, stretch=1 + rng.uniform(-_STRETCH, _STRETCH, size=3))
    return mesh._replace(words=tuple(dice.words))
