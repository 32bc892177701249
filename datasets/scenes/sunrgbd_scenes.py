"""Scenes of SUN RGB-D as VoteNet prepares them: `<id>_pc.npz`, `<id>_bbox.npy` and `<id>_votes.npz`.

S. Song et al., SUN RGB-D, CVPR 2015; C. R. Qi et al., Deep Hough Voting for 3D Object Detection, ICCV 2019.
Coordinates are upright depth: x right, y forward, z up, the camera at the origin.
"""

from pathlib import Path

import numpy as np

from datasets.detection.scene_boxes import SceneBoxes
from datasets.scenes.scene import Scene
from datasets.scenes.scene_classes import SUNRGBD_CLASSES

_FOLDER = "sunrgbd_pc_bbox_votes_50k_{version}_{split}"
VERSIONS, SPLITS = ("v1", "v2"), ("train", "val")
_REMEDY = "prepare the data set again, by VoteNet's sunrgbd_data.py"


def prepared_folder(root: Path, split: str, version: str = "v1") -> Path:
    """Return the folder of a split; version v1 has the boxes that published detectors are scored with."""
    return root / _FOLDER.format(version=version, split=split)


def list_prepared(folder: Path) -> list[str]:
    """List the ids of the scenes in a folder of VoteNet's preparation, sorted.

    Raises:
        FileNotFoundError: there is none.
    """
    if not (ids := prepared_ids(folder)):
        raise FileNotFoundError(f"no <id>_pc.npz in {folder}; {_REMEDY}")
    return ids


def prepared_ids(folder: Path) -> list[str]:
    """Return the ids of the scenes in a folder of VoteNet's preparation, sorted."""
    return sorted(path.name.removesuffix("_pc.npz") for path in folder.glob("[!.]*_pc.npz"))


def read_prepared(folder: Path, scene_id: str) -> Scene:
    """Read a scene: its points, their colours if there are six columns, and the boxes of its objects.

    Raises:
        FileNotFoundError: one of its two files is missing.
        ValueError: a damaged file, or values no reader can use; names it.
    """
    cloud = _load(folder / f"{scene_id}_pc.npz", "pc")
    if cloud.ndim != 2 or cloud.shape[1] not in (3, 6) or len(cloud) == 0 or not np.isfinite(cloud).all():
        raise ValueError(
            f"{folder / f'{scene_id}_pc.npz'}: pc is {cloud.shape} {cloud.dtype}, expected (N, 6) finite numbers: "
            f"x y z r g b, or (N, 3); {_REMEDY}"
        )
    colours = None
    if cloud.shape[1] == 6:
        if cloud[:, 3:].min() < 0 or cloud[:, 3:].max() > 1:
            raise ValueError(f"{folder / f'{scene_id}_pc.npz'}: colours leave 0 .. 1; {_REMEDY}")
        colours = (cloud[:, 3:] * 255 + 0.5).astype(np.uint8)
    return Scene(scene_id, cloud[:, :3].astype(np.float32), colours, boxes=_read_boxes(folder / f"{scene_id}_bbox.npy"))


def read_votes(folder: Path, scene_id: str) -> tuple[np.ndarray, np.ndarray]:
    """Read the votes of a scene's points.

    Returns:
        whether each point lies in the box of an object, (N,) bool; three steps from it to the centres of such boxes,
        (N, 3, 3) float32, equal ones where it lies in fewer than three.
    Raises:
        FileNotFoundError: no such file. ValueError: damaged, or of another number of points than the cloud.
    """
    path = folder / f"{scene_id}_votes.npz"
    votes, num_points = _load(path, "point_votes"), len(_load(folder / f"{scene_id}_pc.npz", "pc"))
    if votes.shape != (num_points, 10) or not np.isfinite(votes).all():
        raise ValueError(f"{path}: point_votes is {votes.shape}, expected ({num_points}, 10) finite numbers; {_REMEDY}")
    return votes[:, 0] > 0, votes[:, 1:].reshape(-1, 3, 3).astype(np.float32)


def _read_boxes(path: Path) -> SceneBoxes:
    """Read rows of centre, half sizes along l, w, h, heading and class."""
    rows = _load(path)
    if rows.ndim != 2 or rows.shape[1] != 8 or not np.isfinite(rows).all() or (rows[:, 3:6] <= 0).any():
        raise ValueError(f"{path}: boxes are {rows.shape} {rows.dtype}, expected (K, 8), finite, sizes > 0; {_REMEDY}")
    classes = rows[:, 7]
    if (classes % 1 != 0).any() or classes.min(initial=0) < 0 or classes.max(initial=0) >= len(SUNRGBD_CLASSES):
        raise ValueError(f"{path}: a class is none of 0 .. {len(SUNRGBD_CLASSES) - 1}; {_REMEDY}")
    centre, half, heading = np.split(rows[:, :7].astype(np.float32), (3, 6), axis=1)
    return SceneBoxes(centre, 2 * half, heading[:, 0], classes.astype(np.int64))


def _load(path: Path, name: str | None = None) -> np.ndarray:
    """Load an array of numbers: the only one of an .npy file, or one of an .npz file."""
    try:
        with path.open("rb") as stream:  # ours, because np.load leaves a damaged file open
            loaded = np.load(stream, allow_pickle=False)
            array = loaded if name is None else loaded[name]
    except FileNotFoundError:
        raise FileNotFoundError(f"no {path}; {_REMEDY}") from None
    except Exception as error:  # numpy, zipfile and zlib raise a dozen types for damaged bytes
        raise ValueError(f"{path} is damaged ({error}); {_REMEDY}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or not array.ndim:
        found = f"{array.shape} {array.dtype}" if isinstance(array, np.ndarray) else "arrays with names"
        raise ValueError(f"{path} holds {found}, expected rows of numbers; {_REMEDY}")
    return array
