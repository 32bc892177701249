"""Rooms of any size through SR-UNet: cut into tiles that fit into memory, each seen with what surrounds it.

Letters: M voxels, Y classes.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from models.sparse.sparse_tensor import SparseTensor, sparse_tensor

MOST_VOXELS = 300_000  # of a tile without its margin; with Res16UNet34C on a CPU measured at 2.8 kB a voxel
MARGIN = 64  # voxels around a tile that are seen and not kept: four of the coarsest


def tiles(coordinates: Tensor, most: int = MOST_VOXELS) -> Iterator[Tensor]:
    """Yield the rows of each tile: halves along the longer of x and y, until none has more than `most` voxels.

    Shape: coordinates (M, 4) int64, batch, x, y, z -> rows (M',) int64; each row is in one tile.
    """
    waiting = [torch.arange(len(coordinates), device=coordinates.device)]
    while waiting:
        rows = waiting.pop()
        place = coordinates[rows, 1:3]
        extent = place.amax(dim=0) - place.amin(dim=0)
        if len(rows) <= most or not extent.any():
            yield rows
            continue
        along = place[:, extent.argmax()]
        is_low = along <= (along.amin() + along.amax()).div(2, rounding_mode="floor")
        waiting += [rows[~is_low], rows[is_low]]


def tiled_logits(
    network: nn.Module, voxels: SparseTensor, most: int = MOST_VOXELS, margin: int = MARGIN
) -> tuple[Tensor, int]:
    """Return the logits of voxels, tile by tile where there are more than `most`, and the number of tiles.

    Near the edge of a tile they differ a little from those of the whole room, as far as the network sees beyond
    `margin` voxels; a room of one tile has exactly its own.

    Shape: SparseTensor of (M, C) of one room -> (M, Y).
    """
    coordinates, logits = voxels.level.coordinates, None
    if len(coordinates) <= most:
        return network(voxels).features, 1
    parts = list(tiles(coordinates, most))
    for rows in parts:
        place = coordinates[rows, 1:3]
        low, high = place.amin(dim=0) - margin, place.amax(dim=0) + margin
        is_seen = ((coordinates[:, 1:3] >= low) & (coordinates[:, 1:3] <= high)).all(dim=1)
        seen = is_seen.nonzero()[:, 0]  # in the order of the level, which sparse_tensor keeps
        found = network(sparse_tensor(coordinates[seen], voxels.features[seen])).features
        if logits is None:
            logits = found.new_empty(len(coordinates), found.shape[1])
        logits[rows] = found[torch.searchsorted(seen, rows)]
    return logits, len(parts)
