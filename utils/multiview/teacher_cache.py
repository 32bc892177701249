"""What a teacher says of every shape, computed once and kept on disk: feature maps, embeddings, point orders.

    maps.npy    (M, V, C, h, w) float16    of every view
    target.npy  (M, D) float32             of every shape
    rank.npy    (M, N) uint16 or int32     places in the farthest-point order
    index.json                             written last: what the rest was computed from

The teacher sees one shape at a time, so that no feature depends on which others are computed with it.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from datasets.pairs.multiview_items import first_points, require_views
from datasets.pairs.render_pairs import RenderPairs
from datasets.transforms.image_transforms import normalize_, resize_square
from datasets.transforms.point_transforms import unit_sphere
from models.encoders.multiview_resnet import MultiViewResNet
from models.layers.farthest_points import farthest_order
from utils.files import locked, write_text
from utils.processes.collectives import barrier, compute_on_main, gather_objects, is_main_process, rank_rows
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
        """Return the maps of a shape's views (V, C, h, w) float16 and its embedding (D,) float32, both copies.

        Raises:
            ValueError: the cache is damaged, or was computed without this shape, which could not be read.
        """
        target = np.array(self._array("target")[index])
        if np.isnan(target).any():
            raise ValueError(f"it could not be read when the teacher saw the shapes; delete {self.folder} to try again")
        return np.array(self._array("maps")[index]), target

    def rank(self, index: int) -> np.ndarray:
        """Return the place of each point in the farthest-point order. Shape: (N,)."""
        return self._array("rank")[index]

    @property
    def teacher(self) -> str:
        """The SHA-256 of the teacher's weights."""
        return json.loads((self.folder / INDEX).read_text(encoding="utf-8"))["teacher"]

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
            except (ValueError, FileNotFoundError) as error:
                raise ValueError(f"{path} is damaged ({error}); delete {self.folder}: it is computed again") from error
        return self._arrays[name]


def build_cache(
    parent: Path,
    source: RenderPairs,
    teacher: MultiViewResNet,
    *,
    num_views: int,
    image_size: int,
    layer: int,
    num_points: int,
    device: torch.device,
    skips_bad: bool,
    report: Callable[[str], None],
) -> TeacherCache:
    """Compute the cache of these shapes, or find it where it was computed before; every rank does its share.

    Args:
        parent: each cache is a folder of this one, named by what it was computed from.
        source: its first `num_views` views are laid on its background and resized to `image_size`.
        layer: of the teacher, whose maps are kept.
        num_points: N, points that are ordered.
        skips_bad: leave out what cannot be read: `features` of such a shape then raises.
        report: called with lines for people.
    Raises:
        ValueError, OSError: no room; or a shape with fewer views or points, or one that cannot be read, named.
    """
    text = compute_on_main(  # on the main process alone: copies of the data elsewhere may have other dates
        lambda: {
            "text": _describe(
                teacher=_digest_of(teacher),
                shapes=_digest_of_shapes(source, num_views),
                num_views=num_views,
                image_size=image_size,
                layer=layer,
                background=list(source.background),
                num_points=num_points,
            )
        }
    )["text"]
    folder = parent / hashlib.sha256(text.encode()).hexdigest()[:16]
    with locked(folder) if is_main_process() else nullcontext():
        if compute_on_main(lambda: {"is_there": _is_whole(folder, text)})["is_there"]:
            report(f"teacher: features found in {folder}")
            return TeacherCache(folder)
        views = _Views(teacher.eval().to(device), source, num_views, image_size, layer, device)
        faults = _compute(folder, views, num_points, skips_bad)
        barrier()
        if is_main_process():
            write_text(folder / INDEX, text)
        barrier()
    size = sum(path.stat().st_size for path in folder.glob("*.npy")) / 2**20
    report(f"teacher: features of {len(source)} shapes, {num_views} views each, computed into {folder}, {size:.0f} MiB")
    if faults := [fault for of_rank in gather_objects(faults) for fault in of_rank]:
        report(f"warning: the teacher could not see {len(faults)} shapes, first {faults[0]}")
    return TeacherCache(folder)


def _describe(**made_from: object) -> str:
    return json.dumps(made_from, indent=2) + "\n"


def _is_whole(folder: Path, text: str) -> bool:
    index = folder / INDEX
    return index.is_file() and index.read_text(encoding="utf-8") == text


class _Views(NamedTuple):
    """The first views of all shapes, and the teacher that sees them."""

    teacher: MultiViewResNet
    source: RenderPairs
    num_views: int
    image_size: int
    layer: int
    device: torch.device

    def read(self, index: int) -> torch.Tensor:
        """Read the views of a shape, (V, 3, S, S)."""
        source, wanted = self.source, self.num_views
        require_views(source, index, source.num_views(index), wanted)
        views = [resize_square(source.read_pixels(index, view)[None], self.image_size) for view in range(wanted)]
        return normalize_(torch.cat(views).float())

    @torch.inference_mode()
    def see(self, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Compute maps (V, C, h, w) and embedding (D,) of one shape."""
        maps, target = self.teacher.see(images[None].to(self.device), self.layer)
        return maps[0].cpu().numpy(), target[0].cpu().numpy()


def _compute(folder: Path, views: _Views, num_points: int, skips_bad: bool) -> list[str]:
    """Fill the arrays, each rank its own rows; return what is wrong with the shapes that this rank has left out."""
    source = views.source
    maps, target = views.see(torch.zeros(views.num_views, 3, views.image_size, views.image_size))
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
        _reserve(list(paths.values()))
    barrier()  # nobody fills what is not there yet
    arrays = {name: open_memmap(path, "r+") for name, path in paths.items()}
    own = rank_rows(len(source))
    waiting: dict[int, np.ndarray] = {}  # clouds to be ordered together
    faults = []
    for index in tqdm(own, desc="teacher", unit="shape", disable=None if is_main_process() else True):
        try:
            images, waiting[index] = views.read(index), _read_cloud(source, index, num_points)
        except (ValueError, OSError) as error:
            if not skips_bad:
                raise
            arrays["target"][index] = np.nan
            faults.append(f"{source.files(index)}: {error}")
        else:
            arrays["maps"][index], arrays["target"][index] = views.see(images)
        if waiting and (len(waiting) == _ORDERED_TOGETHER or index == own[-1]):
            order = farthest_order(torch.from_numpy(np.stack(list(waiting.values()))).to(views.device)).cpu()
            arrays["rank"][list(waiting)] = order.argsort(dim=1).numpy()
            waiting.clear()
    for array in arrays.values():
        array.flush()
    return faults


def _reserve(paths: list[Path]) -> None:
    """Take the room of files whose bytes are not on disk yet: writing to a mapped file on a full disk kills a process.

    Raises:
        OSError: there is not as much; the files are gone then.
    """
    if not hasattr(os, "posix_fallocate"):  # on macOS
        return
    size = sum(path.stat().st_size for path in paths)
    try:
        for path in paths:
            with path.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
    except OSError as error:
        for path in paths:
            path.unlink()
        words = f"{error.strerror}, {size / 2**20:.0f} MiB are needed; make room or pass another --teacher_cache"
        raise OSError(error.errno, words, str(paths[0])) from error


def _read_cloud(source: RenderPairs, index: int, num_points: int) -> np.ndarray:
    """Read the points of a shape that are ordered, (N, 3)."""
    points = first_points(source, index, num_points)
    try:
        return unit_sphere(points)
    except ValueError as error:
        raise ValueError(f"{source.cloud_name(index)}: {error}; make it again or delete it") from error


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
