"""What a frozen image network says of every shape as a whole, computed once and kept on disk.

    rows.npy     (M, 2D) float32    mean over all views of a shape, and maximum
    moments.npy  (2, 2D) float64    mean and deviation of each column over all shapes
    index.json                      written last: what the rest was computed from

The network sees one shape at a time, so that no row depends on which others are computed with it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from datasets.pairs.render_pairs import RenderPairs
from datasets.transforms.image_transforms import normalize_, resize_square
from utils.multiview.cached_arrays import (
    CachedArrays,
    digest_of_network,
    digest_of_shapes,
    fill_rows,
    find_or_compute,
    open_to_fill,
)
from utils.processes.collectives import barrier, is_main_process

_ROWS_AT_ONCE = 4096  # bounds the memory of the moments


class ViewRows(CachedArrays):
    """The rows of all shapes, standardised over them; a column that is the same of all shapes is 0."""

    def row(self, index: int) -> np.ndarray:
        """Return the row of a shape, (2D,) float32, a copy.

        Raises:
            ValueError: the cache is damaged, or was computed without this shape, which could not be read.
        """
        row = self.array("rows")[index]
        if np.isnan(row).any():
            raise self.unread()
        mean, deviation = self.array("moments")
        return ((row - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)

    @property
    def dim(self) -> int:
        """Width of the rows, 2D."""
        return self.array("rows").shape[1]


def build_view_rows(
    parent: Path,
    source: RenderPairs,
    teacher: nn.Module,
    *,
    image_size: int,
    device: torch.device,
    skips_bad: bool,
    report: Callable[[str], None],
) -> ViewRows:
    """Compute the rows of these shapes, or find them where they were computed before; every rank does its share.

    Args:
        parent: each cache is a folder of this one, named by what it was computed from.
        source: all its views are laid on its background and resized to `image_size`.
        teacher: in eval mode; images (V, 3, S, S), ImageNet-normalised -> (V, teacher.feature_dim).
        skips_bad: leave out what cannot be read: `row` of such a shape then raises.
        report: called with lines for people.
    Raises:
        ValueError, OSError: no room; or a shape without views or with one that cannot be read, named.
    """

    def describe() -> dict[str, object]:
        return {
            "rows": "mean and maximum over all views",
            "teacher": digest_of_network(teacher),
            "shapes": digest_of_shapes(source),
            "image_size": image_size,
            "background": list(source.background),
        }

    def compute(folder: Path) -> list[str]:
        see = _Seer(teacher.to(device), source, image_size, device)
        return _compute(folder, see, skips_bad)

    return ViewRows(find_or_compute(parent, describe, compute, f"all views of {len(source)} shapes", report))


class _Seer:
    """A teacher that sees the shapes of a source."""

    def __init__(self, teacher: nn.Module, source: RenderPairs, image_size: int, device: torch.device):
        self.teacher, self.source, self.image_size, self.device = teacher, source, image_size, device

    def read(self, index: int) -> Tensor:
        """Read all views of a shape, (V, 3, S, S)."""
        num_views = self.source.num_views(index)
        if not num_views:
            raise ValueError(f"{self.source.files(index)}: no views; render them, or delete the shape")
        pixels = [self.source.read_pixels(index, view)[None] for view in range(num_views)]  # sizes may differ
        return normalize_(torch.cat([resize_square(view, self.image_size) for view in pixels]).float())

    @torch.inference_mode()
    def row(self, images: Tensor) -> Tensor:
        """Compute mean and maximum over the views of a shape. Shape: (V, 3, S, S) -> (2D,)."""
        features = self.teacher(images.to(self.device))
        return torch.cat([features.mean(dim=0), features.amax(dim=0)]).cpu()


def _compute(folder: Path, seer: _Seer, skips_bad: bool) -> list[str]:
    """Fill the arrays, each rank its own rows; return what is wrong with the shapes that this rank has left out."""
    source, width = seer.source, 2 * seer.teacher.feature_dim
    layout = {"rows": ((len(source), width), np.float32), "moments": ((2, width), np.float64)}
    arrays = open_to_fill(folder, layout)

    def put(index: int, images: Tensor) -> None:
        arrays["rows"][index] = seer.row(images).numpy()

    faults = fill_rows(arrays, "rows", seer.read, put, unit="shape", skips_bad=skips_bad)
    arrays["rows"].flush()
    barrier()
    if is_main_process():
        arrays["moments"][:] = _moments(arrays["rows"])
        arrays["moments"].flush()
    return faults


def _moments(rows: np.ndarray) -> np.ndarray:
    """Return mean and deviation of the columns over the rows that are known, (2, C); zeros where none is."""
    parts = [slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(rows), _ROWS_AT_ONCE)]
    count = max(1, sum(np.count_nonzero(~np.isnan(rows[part, 0])) for part in parts))
    mean = sum(np.nansum(rows[part], axis=0, dtype=np.float64) for part in parts) / count
    square = sum(np.nansum((rows[part] - mean) ** 2, axis=0) for part in parts) / count
    return np.stack([mean, np.sqrt(square)])
