"""What a teacher says of every shape, computed once and kept on disk: feature maps, embeddings, point orders.

    maps.npy    (M, V, C, h, w) float16    of every view
    target.npy  (M, D) float32             of every shape
    rank.npy    (M, N) uint16 or int32     places in the farthest-point order
    index.json                             written last: what the rest was computed from

The teacher sees one shape at a time, so that no feature depends on which others are computed with it.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from datasets.pairs.multiview_items import first_points
from datasets.pairs.render_pairs import RenderPairs
from datasets.transforms.image_transforms import normalize_, resize_square
from datasets.transforms.point_transforms import unit_sphere
from models.encoders.multiview_resnet import MultiViewResNet
from models.layers.farthest_points import farthest_order
from utils.files import locked, write_text
from utils.processes.collectives import barrier, compute_on_main, is_main_process, rank_rows
from utils.training.data_order import order_parts

INDEX = "index.json"
_ORDERED_TOGETHER = 64  # clouds


class TeacherCache:
    """The arrays of a finished cache, opened in each process when first read; it may be pickled.

    Args:
        folder: of the cache.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._arrays: dict[str, np.ndarray] = {}

    def __getstate__(self) -> dict:
        return {"folder": self.folder, "_arrays": {}}

    def features(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the maps of a shape's views (V, C, h, w) float16 and its embedding (D,) float32, both copies."""
        return np.array(self._array("maps")[index]), np.array(self._array("target")[index])

    def rank(self, index: int) -> np.ndarray:
        """Return the place of each point in the farthest-point order. Shape: (N,)."""
        return self._array("rank")[index]

    @property
    def map_dim(self) -> int:
        """Channels of the maps."""
        return self._array("maps").shape[2]

    @property
    def target_dim(self) -> int:
        """Width of the embeddings."""
        return self._array("target").shape[1]

    def _array(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            path = self.folder / f"{name}.npy"
            try:
                self._arrays[name] = open_memmap(path, "r")
            except ValueError as error:
                raise ValueError(f"{path} is damaged ({error}); delete {self.folder}: it is computed again") from error
        return self._arrays[name]


def build_cache(
    parent: Path,
    source: RenderPairs,
    teacher: MultiViewResNet,
    *,
    num_views: int,
    image_size: int,
    num_points: int,
    device: torch.device,
    report: Callable[[str], None],
) -> TeacherCache:
    """Compute the cache of these shapes, or find it where it was computed before; every rank does its share.

    Args:
        parent: each cache is a folder of this one, named by what it was computed from.
        source: its first `num_views` views are laid on its background and resized to `image_size`.
        num_points: N, points that are ordered.
        report: called with lines for people.
    Raises:
        ValueError: a shape with fewer views or points, or one that cannot be read.
        OSError: no room.
    """
    made_from = {
        "teacher": _digest_of(teacher),
        "shapes": _digest_of_shapes(source, num_views),
        "num_views": num_views,
        "image_size": image_size,
        "background": list(source.background),
        "num_points": num_points,
    }
    text = json.dumps(made_from, indent=2) + "\n"
    folder = parent / hashlib.sha256(text.encode()).hexdigest()[:16]
    with locked(folder) if is_main_process() else nullcontext():
        if compute_on_main(lambda: {"is_there": _is_whole(folder, text)})["is_there"]:
            report(f"teacher: features found in {folder}")
            return TeacherCache(folder)
        _compute(folder, source, teacher.eval().to(device), made_from, device)
        barrier()
        if is_main_process():
            write_text(folder / INDEX, text)
        barrier()
    size = sum(path.stat().st_size for path in folder.glob("*.npy")) / 2**20
    report(f"teacher: features of {len(source)} shapes, {num_views} views each, computed into {folder}, {size:.0f} MiB")
    return TeacherCache(folder)


def _is_whole(folder: Path, text: str) -> bool:
    index = folder / INDEX
    return index.is_file() and index.read_text(encoding="utf-8") == text


def _compute(
    folder: Path, source: RenderPairs, teacher: MultiViewResNet, made_from: dict, device: torch.device
) -> None:
    """Fill the arrays, each rank its own rows."""
    num_views, image_size, num_points = (made_from[name] for name in ("num_views", "image_size", "num_points"))
    maps, target = _see(teacher, source, 0, num_views, image_size, device)
    layout = {
        "maps": (maps.shape, np.float16),
        "target": (target.shape, np.float32),
        "rank": ((num_points,), np.uint16 if num_points <= 2**16 else np.int32),
    }
    paths = {name: folder / f"{name}.npy" for name in layout}
    if is_main_process():
        folder.mkdir(parents=True, exist_ok=True)
        for name, (shape, kind) in layout.items():
            open_memmap(paths[name], "w+", kind, (len(source), *shape)).flush()
    barrier()  # nobody fills what is not there yet
    arrays = {name: open_memmap(path, "r+") for name, path in paths.items()}
    own = rank_rows(len(source))
    for index in tqdm(own, desc="teacher", unit="shape", disable=None if is_main_process() else True):
        arrays["maps"][index], arrays["target"][index] = _see(teacher, source, index, num_views, image_size, device)
    for start in range(own.start, own.stop, _ORDERED_TOGETHER):
        rows = range(start, min(start + _ORDERED_TOGETHER, own.stop))
        clouds = np.stack([unit_sphere(first_points(source, index, num_points)) for index in rows])
        order = farthest_order(torch.from_numpy(clouds).to(device)).cpu()
        arrays["rank"][rows.start : rows.stop] = order.argsort(dim=1).numpy()
    for array in arrays.values():
        array.flush()


@torch.inference_mode()
def _see(
    teacher: MultiViewResNet, source: RenderPairs, index: int, num_views: int, image_size: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Compute maps (V, C, h, w) and embedding (D,) of one shape."""
    if source.num_views(index) < num_views:
        raise ValueError(
            f"{source.files(index)}: {source.num_views(index)} views, --views {num_views} are asked for; pass fewer, "
            "or render more"
        )
    views = [resize_square(source.read_pixels(index, view)[None], image_size) for view in range(num_views)]
    images = normalize_(torch.cat(views).float())[None].to(device)
    maps = teacher.maps(images)
    return maps[0].cpu().numpy(), teacher.embed_maps(maps)[0].cpu().numpy()


def _digest_of(teacher: MultiViewResNet) -> str:
    digest = hashlib.sha256()
    for name, tensor in teacher.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _digest_of_shapes(source: RenderPairs, num_views: int) -> str:
    """Digest the names of the shapes, and what tells whether their files have changed."""
    digest = hashlib.sha256(b"".join(order_parts(source)))
    for index in range(len(source)):
        digest.update(source.stamp(index, min(num_views, source.num_views(index))).encode())
    return digest.hexdigest()
