"""Points to voxels and back.

Letters: N points of all clouds, one cloud after another; M voxels, C channels.
"""

from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.rows import CloudRows
from models.sparse.sparse_tensor import SparseTensor
from models.sparse.voxel_keys import pack, step
from models.sparse.voxel_level import make_level


class Voxels(NamedTuple):
    """The voxels of a batch of clouds: `inverse` (N,) is the row of each point, `clouds` the points of each cloud."""

    tensor: SparseTensor
    inverse: Tensor
    clouds: CloudRows
    size: float

    def to_points(self, rows: Tensor) -> Tensor:
        """Give every point the features of its voxel. Shape: (M, C) -> (N, C); `.split(clouds.lengths)` by cloud."""
        return F.embedding(self.inverse, rows)

    def interpolate(self, rows: Tensor, points: Tensor, lengths: list[int] | None = None) -> Tensor:
        """Give points the features at their places, trilinear between the centres of voxels.

        Absent voxels do not count: the weights of the others are scaled to sum to one.

        Args:
            rows: (M, C) features of the voxels.
            points: (N', 3), those that the voxels were made of or others of the same clouds.
            lengths: points of each cloud; None means as many as the voxels were made of.
        Returns:
            (N', C).
        Raises:
            ValueError: other numbers of clouds or points, or a point that has none of the eight voxels around it.
        """
        level, clouds = self.tensor.level, CloudRows(self.clouds.lengths if lengths is None else lengths)
        if len(clouds.lengths) != len(self.clouds.lengths) or sum(clouds.lengths) != len(points):
            raise ValueError(
                f"{len(points)} points in clouds of {clouds.lengths}, expected {len(self.clouds.lengths)} clouds"
            )
        place = points.double() / self.size - 0.5
        low = place.floor()
        keys = pack(_with_batch(low.long(), clouds))
        shares = torch.stack([1 - (place - low), place - low])  # (2, N, 3)
        padded = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
        out, total = 0, 0
        for corner in product((0, 1), repeat=3):
            row = level.find(keys + step(*corner))
            weight = torch.stack([shares[side, :, axis] for axis, side in enumerate(corner)]).prod(dim=0)
            weight = torch.where(row < len(level), weight, 0)[:, None]
            total = total + weight
            out = out + weight.to(rows.dtype) * F.embedding(row, padded)
        if (total == 0).any():
            raise ValueError(f"{int((total == 0).sum())} of {len(points)} points have no voxel around them")
        return out / total.to(rows.dtype)


def voxelise(
    points: Tensor, features: Tensor, size: float, lengths: list[int] | None = None, reduce: str = "mean"
) -> Voxels:
    """Put the points of a batch into voxels: floor(coordinate / size).

    Args:
        points: (N, 3), in the unit of `size`.
        features: (N, C) floats.
        size: edge of a voxel, > 0.
        lengths: points of each cloud; None means that all are of one.
        reduce: features of a voxel: "mean" of those of its points, or those of the "first" of its points.
    Raises:
        ValueError: shapes, lengths or values that do not fit, or points too far from the origin.
    """
    lengths = [len(points)] if lengths is None else lengths
    if points.ndim != 2 or points.shape[1] != 3 or features.ndim != 2 or len(features) != len(points):
        raise ValueError(
            f"points are {tuple(points.shape)} and features {tuple(features.shape)}, expected (N, 3) and (N, C)"
        )
    if sum(lengths) != len(points):
        raise ValueError(f"clouds of {sum(lengths)} points together, got {len(points)}")
    if 0 in lengths:
        raise ValueError(f"cloud {lengths.index(0)} of the {len(lengths)} of this batch has no points")
    if not size > 0 or reduce not in ("mean", "first"):
        raise ValueError(f"size {size} and reduce {reduce!r}, expected a size above 0 and mean or first")
    if not points.isfinite().all():
        raise ValueError(f"{int((~points.isfinite()).any(dim=1).sum())} of {len(points)} points are not finite")
    clouds = CloudRows(lengths)
    cell = (points.double() / size).floor().clamp(-(2**40), 2**40)  # pack names what is out of range
    coordinates = _with_batch(cell.long(), clouds)
    _, inverse, counts = pack(coordinates).unique(return_inverse=True, return_counts=True)
    order = inverse.argsort(stable=True)  # points, voxel by voxel, those of a voxel in their order
    first = order[counts.cumsum(0) - counts]
    level, _ = make_level(coordinates[first])
    rows = features[first] if reduce == "first" else torch.segment_reduce(features[order], "mean", lengths=counts)
    return Voxels(SparseTensor(rows, level), inverse, clouds, size)


def _with_batch(cells: Tensor, clouds: CloudRows) -> Tensor:
    """Put the cloud's number before coordinates. Shape: (N, 3) -> (N, 4)."""
    lengths = torch.tensor(clouds.lengths, device=cells.device)
    batch = torch.arange(len(lengths), device=cells.device).repeat_interleave(lengths, output_size=len(cells))
    return torch.cat([batch[:, None], cells], dim=1)
