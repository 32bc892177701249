"""Writers of tiny data sets in the real on-disk layouts."""

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import trimesh
from PIL import Image

from data.storage.pack_jobs import list_to_pack
from data.storage.packed_writer import write_packed
from datasets.pairs.pair_tables import PAIRS
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import list_shapes
from utils.files import write_npz


def cloud(seed: int, num_points: int = 97) -> np.ndarray:
    """Draw a (N, 3) float32 cloud in a box of 2 × 3 × 1 off the origin."""
    rng = np.random.default_rng(seed)
    return (rng.random((num_points, 3)) * [2.0, 3.0, 1.0] + [5.0, -1.0, 0.5]).astype(np.float32)


def write_ply(path: Path, points: np.ndarray, encoding: str = "binary") -> Path:
    """Write a PLY cloud, binary or ascii, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = trimesh.PointCloud(points).export(file_type="ply", encoding=encoding)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def disc_view(size: int, hidden: tuple[int, int, int] = (255, 0, 255), seed: int = 0) -> np.ndarray:
    """Draw a noisy opaque disc (size, size, 4) uint8, whose transparent surroundings hide the colour `hidden`."""
    rows, columns = np.mgrid[:size, :size]
    inside = np.hypot(rows - size / 2, columns - size / 2) < size / 3
    rgb = np.random.default_rng(seed).integers(1, 255, (size, size, 3))
    rgba = np.dstack([np.where(inside[..., None], rgb, hidden), inside * 255])
    return rgba.astype(np.uint8)


def write_shapenet(
    root: Path,
    shapes: Iterable[str] = ("02/a", "02/b", "03/c"),
    *,
    num_points: int = 97,
    num_views: int = 3,
    size: int = 16,
) -> Path:
    """Write ShapeNet and ShapeNetRendering with these `<synset>/<id>` shapes, all clouds and views different."""
    for number, shape in enumerate(shapes):
        write_ply(root / "ShapeNet" / f"{shape}.ply", cloud(number, num_points))
        folder = root / "ShapeNetRendering" / shape / "rendering"
        folder.mkdir(parents=True)
        for view in range(num_views):
            Image.fromarray(disc_view(size, seed=100 * number + view)).save(folder / f"{view:02d}.png")
    return root


def write_pairs(root: Path, *, seed: int = 0) -> Path:
    """Write random pairs of pixels and points, up to 40 a view and none in the first, for all shapes of a tree."""
    rng = np.random.default_rng(seed)
    for shape in list_shapes(root):
        points = read_points(shape.cloud_path(root))
        counts = [0, *rng.integers(1, 40, len(shape.views) - 1)]
        views = [(np.sort(rng.choice(len(points), n, replace=False)), rng.random((n, 2))) for n in counts]
        write_npz(shape.render_folder(root) / PAIRS, **PixelPairs.of_views(views)._asdict())
    return root


def pack(root: Path, out: Path) -> Path:
    """Pack the data below `root` into the file `out`."""
    write_packed(root, list_to_pack(root).jobs, out, workers=1)
    return out


def write_h5(path: Path, **arrays: np.ndarray) -> Path:
    """Write arrays to an HDF5 file, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file[key] = array
    return path


def labelled(labels: Iterable[int], seed: int = 0, num_points: int = 97) -> dict[str, np.ndarray]:
    """Make the arrays of a ModelNet40 shard: `data` (M, N, 3) float32 and `label` (M, 1) uint8."""
    labels = np.array(list(labels), dtype=np.uint8)[:, None]
    return {"data": np.stack([cloud(seed + 1000 + i, num_points) for i in range(len(labels))]), "label": labels}


def write_modelnet40(root: Path) -> Path:
    """Write two train shards and one test shard of three classes; return their folder."""
    folder = root / "modelnet40_ply_hdf5_2048"
    write_h5(folder / "ply_data_train0.h5", **labelled([0, 1, 2, 2]))
    write_h5(folder / "ply_data_train1.h5", **labelled([1, 0], seed=50))
    write_h5(folder / "ply_data_test0.h5", **labelled([2, 0, 1], seed=90))
    (folder / "shape_names.txt").write_text("cone\ncube\nball\n")
    return folder


def write_scanobjectnn(root: Path) -> Path:
    """Write all three variants under the published file names; return the ScanObjectNN folder."""
    folder = root / "ScanObjectNN"
    for number, (split_folder, suffix) in enumerate(
        [("main_split", ""), ("main_split_nobg", ""), ("main_split", "_augmentedrot_scale75")]
    ):
        for offset, split in enumerate(("training", "test")):
            arrays = labelled([14, 0, 7], seed=200 + 20 * number + 10 * offset)
            arrays["label"] = arrays["label"][:, 0].astype(np.int32)
            write_h5(folder / split_folder / f"{split}_objectdataset{suffix}.h5", **arrays)
    return folder


def write_shapenet_part(root: Path) -> Path:
    """Write a shard per split: an airplane (parts 0..3), a bag (4, 5) and a table (47..49); return the folder."""
    folder = root / "shapenet_part_seg_hdf5_data"
    for number, split in enumerate(("train", "val", "test")):
        arrays = labelled([0, 1, 15], seed=300 + 10 * number)
        first = np.array([[0], [4], [47]])
        parts = first + np.arange(97)[None] % np.array([[4], [2], [3]])
        write_h5(folder / f"ply_data_{split}0.h5", **arrays, pid=parts.astype(np.uint8))
    return folder


def write_all(root: Path) -> Path:
    """Write all four layouts, without faults."""
    write_shapenet(root)
    write_modelnet40(root)
    write_scanobjectnn(root)
    write_shapenet_part(root)
    return root


def write_extras(folder: Path, num_views: int = 3, side: int = 16, **changes: np.ndarray) -> None:
    """Write a valid cameras.npz and depth.npz beside the pictures of a shape, with some arrays replaced."""
    cameras = {
        "intrinsics": np.ones((num_views, 3, 3)),
        "extrinsics": np.ones((num_views, 4, 4)),
        "size": np.array([side, side]),
    }
    depth = {"depth": np.ones((num_views, side, side), np.uint16), "scale": np.float64(1), "offset": np.float64(0)}
    np.savez(folder / "cameras.npz", **{key: changes.get(key, value) for key, value in cameras.items()})
    np.savez(folder / "depth.npz", **{key: changes.get(key, value) for key, value in depth.items()})
