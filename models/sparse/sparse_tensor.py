"""Features of voxels, the value that sparse layers take and return."""

from typing import NamedTuple

from torch import Tensor

from models.sparse.voxel_level import VoxelLevel, make_level


class SparseTensor(NamedTuple):
    """Features (M, C) of the M voxels of a level, whose kernel maps all layers share."""

    features: Tensor
    level: VoxelLevel

    def with_features(self, features: Tensor) -> "SparseTensor":
        """Return other features of the same voxels."""
        return SparseTensor(features, self.level)


def sparse_tensor(coordinates: Tensor, features: Tensor) -> SparseTensor:
    """Make a sparse tensor of distinct voxels in any order; its rows are sorted by batch, x, y and z.

    Args:
        coordinates: (M, 4) integers: batch, x, y, z.
        features: (M, C) floats.
    Raises:
        ValueError: coordinates that `make_level` refuses, or other numbers of rows.
    """
    if features.ndim != 2 or len(features) != len(coordinates):
        raise ValueError(f"features are {tuple(features.shape)}, expected a row for each of {len(coordinates)} voxels")
    level, order = make_level(coordinates)
    return SparseTensor(features[order], level)
