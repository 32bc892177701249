"""Voxel coordinates as single integers that sort by cloud, then x, y and z, and of which sums are neighbours.

Letters: M voxels.
"""

import torch
from torch import Tensor

_BITS = 17  # of each axis, above one another in the order batch, x, y, z; the sign bit stays free
_ORIGIN = 2 ** (_BITS - 1)
LIMIT = _ORIGIN - 36  # of a coordinate: neighbours within 35 voxels still have keys of their own
MAX_CLOUDS = 2 ** (63 - 3 * _BITS)


def pack(coordinates: Tensor) -> Tensor:
    """Pack (batch, x, y, z) into keys.

    Args:
        coordinates: (M, 4) integers, M > 0: batch in [0, MAX_CLOUDS), each other in [-LIMIT, LIMIT].
    Returns:
        (M,) int64; `key + step(dx, dy, dz)` is the key of a neighbour.
    Raises:
        ValueError: another shape or type, no voxel, or a coordinate out of range.
    """
    if coordinates.ndim != 2 or coordinates.shape[1] != 4 or coordinates.is_floating_point():
        raise ValueError(
            f"voxel coordinates are {tuple(coordinates.shape)} {coordinates.dtype}, expected (M, 4) integers: "
            "batch, x, y, z"
        )
    if not len(coordinates):
        raise ValueError("no voxels: a scene needs at least one")
    low, high = (values.tolist() for values in coordinates.aminmax(dim=0))
    if low[0] < 0 or high[0] >= MAX_CLOUDS:
        raise ValueError(f"batch indices run from {low[0]} to {high[0]}, expected 0 to {MAX_CLOUDS - 1}")
    if min(low[1:]) < -LIMIT or max(high[1:]) > LIMIT:
        raise ValueError(
            f"voxel coordinates run from {min(low[1:])} to {max(high[1:])}, expected -{LIMIT} to {LIMIT}: "
            + _remedy(max(last - first + 1 for first, last in zip(low[1:], high[1:])))
        )
    return _join(coordinates.long())


def unpack(keys: Tensor) -> Tensor:
    """Return the coordinates of keys. Shape: (M,) -> (M, 4) int64."""
    axes = [(keys >> shift) % 2**_BITS - _ORIGIN for shift in (2 * _BITS, _BITS, 0)]
    return torch.stack([keys >> 3 * _BITS, *axes], dim=1)


def step(dx: int, dy: int, dz: int) -> int:
    """Return what leads from a key to that of the voxel at this offset."""
    return (dx * 2**_BITS + dy) * 2**_BITS + dz


def parents(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the key of the voxel of twice the size that holds each voxel, and the place in it.

    Shape: (M,) -> (M,) and (M,), places x + 2 y + 4 z of 0 to 7. Parents count in their own voxels: floor(x / 2).
    """
    coordinates = unpack(keys)
    place = (coordinates[:, 1:] % 2 * coordinates.new_tensor([1, 2, 4])).sum(dim=1)
    coordinates[:, 1:] >>= 1
    return _join(coordinates), place


def _remedy(extent: int) -> str:
    """Say what to do about coordinates out of range that extend over so many voxels along an axis."""
    most = 2 * LIMIT + 1
    if extent <= most:
        return "move the scene to the origin, or take larger voxels"
    return f"they extend over {extent} voxels, {most} are possible: remove stray points, or take larger voxels"


def _join(coordinates: Tensor) -> Tensor:
    batch, x, y, z = coordinates.unbind(dim=1)
    return ((batch * 2**_BITS + x + _ORIGIN) * 2**_BITS + y + _ORIGIN) * 2**_BITS + z + _ORIGIN
