"""Sets of clouds from a pre-training tree or from HDF5 files in ModelNet40's layout, as random shapes of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.labelled.modelnet40 import ModelNet40
from datasets.layouts import CLOUDS, modelnet40_folders
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import list_shapes
from datasets.transforms.point_transforms import unit_sphere


class CloudSet(NamedTuple):
    """A name for tables, and where its clouds are."""

    name: str
    root: Path


def parse_set(text: str) -> CloudSet:
    """Parse NAME=PATH.

    Raises:
        ValueError: the text has another form.
    """
    name, sign, path = text.partition("=")
    if not (name and sign and path):
        raise ValueError(f"--sets {text}: expected NAME=PATH, such as programs=data/programs")
    return CloudSet(name, Path(path))


def draw_clouds(found: CloudSet, num_shapes: int, num_points: int, rng: np.random.Generator) -> np.ndarray:
    """Draw different shapes of a set, at random points of each, in the unit sphere.

    A folder that holds both layouts is read as a pre-training tree; of HDF5 files the train split is read.

    Returns:
        (num_shapes, num_points, 3) float32.
    Raises:
        ValueError: fewer shapes or points than that.
        FileNotFoundError: neither layout is there.
    """
    if (found.root / CLOUDS).is_dir():
        shapes = list_shapes(found.root, with_views=False)
        picked = _pick(found, len(shapes), num_shapes, rng)
        clouds = [read_points(shapes[index].cloud_path(found.root)) for index in picked]
    elif any(any(folder.glob("ply_data_train*.h5")) for folder in modelnet40_folders(found.root)):
        points = ModelNet40(found.root, "train", num_points=2048).points.numpy()
        clouds = list(points[_pick(found, len(points), num_shapes, rng)])
    else:
        raise FileNotFoundError(f"{found.root}: neither {CLOUDS}/ nor ply_data_train*.h5 is in it")
    few = min(map(len, clouds))
    if few < num_points:
        raise ValueError(f"{found.root}: a cloud has {few} points, fewer than --points {num_points}")
    return unit_sphere(np.stack([cloud[rng.permutation(len(cloud))[:num_points]] for cloud in clouds]))


def turned_at_random(clouds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn every cloud by one of the 24 rotations that map axes to axes. Shape: (M, N, 3) -> the same."""
    order = np.stack([rng.permutation(3) for _ in clouds])
    sign = rng.choice((-1.0, 1.0), size=(len(clouds), 3))
    parity = np.linalg.det(np.eye(3)[order]) * sign.prod(axis=1)
    sign[:, 0] *= np.sign(parity)
    return (np.take_along_axis(clouds, order[:, None], axis=2) * sign[:, None]).astype(np.float32)


def _pick(found: CloudSet, available: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    if available < wanted:
        raise ValueError(f"{found.root} holds {available} shapes, {wanted} are needed; pass a smaller --shapes")
    return np.sort(rng.permutation(available)[:wanted])
