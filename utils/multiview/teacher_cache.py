"""What a teacher says of every shape, computed once and kept on disk: feature maps, embeddings, point orders.

    maps.npy    (M, V, C, h, w) float16    of every view
    target.npy  (M, D) float32             of every shape
    rank.npy    (M, N) uint16 or int32     places in the farthest-point order
    index.json                             written last: what the rest was computed from

The teacher sees one shape at a time, so that no feature depends on which others are computed with it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from datasets.pairs.multiview_items import first_points, require_views
from datasets.pairs.render_pairs import RenderPairs
from datasets.transforms.image_transforms import normalize_, resize_square
from datasets.transforms.point_transforms import unit_sphere
from models.encoders.multiview_resnet import MultiViewNetwork
from models.layers.farthest_points import farthest_order
from utils.multiview.cached_arrays import (
    CachedArrays,
    digest_of_network,
    digest_of_shapes,
    fill_rows,
    find_or_compute,
    open_to_fill,
)

_ORDERED_TOGETHER = 64  # clouds


class TeacherCache(CachedArrays):
    """The features of a teacher, and the order of points."""

    def features(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the maps of a shape's views (V, C, h, w) float16 and its embedding (D,) float32, both copies.

        Raises:
            ValueError: the cache is damaged, or was computed without this shape, which could not be read.
        """
        target = np.array(self.array("target")[index])
        if np.isnan(target).any():
            raise self.unread()
        return np.array(self.array("maps")[index]), target

    def rank(self, index: int) -> np.ndarray:
        """Return the place of each point in the farthest-point order. Shape: (N,)."""
        return self.array("rank")[index]

    @property
    def map_dim(self) -> int:
        """Channels of the maps."""
        return self.array("maps").shape[2]

    @property
    def target_dim(self) -> int:
        """Width of the embeddings."""
        return self.array("target").shape[1]


def build_cache(
    parent: Path,
    source: RenderPairs,
    teacher: MultiViewNetwork,
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

    def describe() -> dict[str, object]:
        return {
            "teacher": digest_of_network(teacher),
            "shapes": digest_of_shapes(source, num_views),
            "num_views": num_views,
            "image_size": image_size,
            "layer": layer,
            "background": list(source.background),
            "num_points": num_points,
        }

    def compute(folder: Path) -> list[str]:
        views = _Views(teacher.eval().to(device), source, num_views, image_size, layer, device)
        return _compute(folder, views, num_points, skips_bad)

    what = f"{len(source)} shapes, {num_views} views each"
    return TeacherCache(find_or_compute(parent, describe, compute, what, report))


class _Views(NamedTuple):
    """The first views of all shapes, and the teacher that sees them."""

    teacher: MultiViewNetwork
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
    arrays = open_to_fill(
        folder,
        {
            "maps": ((len(source), *maps.shape), np.float16),
            "target": ((len(source), *target.shape), np.float32),
            "rank": ((len(source), num_points), np.uint16 if num_points <= 2**16 else np.int32),
        },
    )
    waiting: dict[int, np.ndarray] = {}  # clouds to be ordered together

    def read(index: int) -> tuple[torch.Tensor, np.ndarray]:
        return views.read(index), _read_cloud(source, index, num_points)

    def put(index: int, seen: tuple[torch.Tensor, np.ndarray]) -> None:
        images, waiting[index] = seen
        arrays["maps"][index], arrays["target"][index] = views.see(images)
        if len(waiting) == _ORDERED_TOGETHER:
            order_waiting()

    def order_waiting() -> None:
        order = farthest_order(torch.from_numpy(np.stack(list(waiting.values()))).to(views.device)).cpu()
        arrays["rank"][list(waiting)] = order.argsort(dim=1).numpy()
        waiting.clear()

    faults = fill_rows(arrays, "target", read, put, unit="shape", skips_bad=skips_bad)
    if waiting:
        order_waiting()
    for array in arrays.values():
        array.flush()
    return faults


def _read_cloud(source: RenderPairs, index: int, num_points: int) -> np.ndarray:
    """Read the points of a shape that are ordered, (N, 3)."""
    points = first_points(source, index, num_points)
    try:
        return unit_sphere(points)
    except ValueError as error:
        raise ValueError(f"{source.cloud_name(index)}: {error}; make it again or delete it") from error
