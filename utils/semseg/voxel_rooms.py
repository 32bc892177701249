"""SR-UNet on rooms: the class of every point, that of its voxel.

Letters: N points, M voxels, Y classes.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datasets.scenes.scene import Scene, colour_features
from datasets.scenes.training_rooms import centred
from models.sparse.voxel_keys import LIMIT
from models.sparse.voxelise import Voxels, voxelise
from utils.evaluation.features import eval_mode
from utils.semseg.voxel_tiles import MOST_VOXELS, tiled_logits


class VoxelRooms:
    """A trained SR-UNet, and the edge of the voxels in which it sees rooms.

    Args:
        network: colours of voxels (M, 3) -> logits (M, Y).
        origin: what its run recorded, `voxel` in metres among it.
    """

    def __init__(self, network: nn.Module, origin: dict[str, Any]):
        self.network, self.origin = network, origin
        self.words, self.detail_m = f"voxels of {origin['voxel']:g} m", origin["voxel"]

    def probabilities(self, scene: Scene, device: torch.device, *, votes: int = 1) -> Tensor:
        """Return the probabilities of the classes at every point of a room (N, Y)."""
        return room_probabilities(self.network.to(device), scene, self.origin["voxel"], device, votes=votes)

    def classify(self, scene: Scene, device: torch.device) -> tuple[np.ndarray, str]:
        """Return the class of every point (N,) uint8 of a room of any size, and in words what it was cut into."""
        labels, num_tiles = classify_points(self.network.to(device), scene, self.origin["voxel"], device)
        return labels, f"{num_tiles} tiles"


def room_probabilities(
    network: nn.Module, scene: Scene, voxel: float, device: torch.device, *, votes: int = 1
) -> Tensor:
    """Return the probabilities (N, Y) of the classes at every point of a room, those of its voxel.

    Args:
        network: on `device`.
        voxel: edge in metres.
        votes: V; the mean over copies turned about z by 0, 1 / V, 2 / V ... of a full turn.
    Raises:
        ValueError: as `require_extent`, or a logit is not finite.
    """
    require_extent(scene, voxel)
    (points, colours), total = _inputs(scene, device), 0
    with eval_mode(network), torch.inference_mode():
        for vote in range(votes):
            voxels = voxelise(_turned(points, 2 * math.pi * vote / votes), colours, voxel)
            logits, _ = _logits(network, scene, voxels)
            total = total + voxels.to_points(logits.float().softmax(dim=1))
    return total / votes


def classify_points(network: nn.Module, scene: Scene, voxel: float, device: torch.device) -> tuple[np.ndarray, int]:
    """Return the class of every point (N,) uint8, that of its voxel, and the number of tiles.

    Raises:
        ValueError: as `require_extent`, or a logit is not finite.
    """
    require_extent(scene, voxel)
    with eval_mode(network), torch.inference_mode():
        voxels = voxelise(*_inputs(scene, device), voxel)
        logits, num_tiles = _logits(network, scene, voxels, MOST_VOXELS)
        return logits.argmax(dim=1)[voxels.inverse].to(torch.uint8).cpu().numpy(), num_tiles


def require_extent(scene: Scene, voxel: float) -> None:
    """Refuse a room that, turned by any angle about z, does not fit into the voxels there can be.

    Raises:
        ValueError: names the room.
    """
    x, y, z = np.ptp(scene.points, axis=0).astype(np.float64)
    extent, most = max(math.hypot(x, y), z), 2 * LIMIT * voxel
    if extent > most:
        raise ValueError(
            f"{scene.name}: its points lie up to {extent:,.0f} m apart, {most:,.0f} m are possible with voxels of "
            f"{voxel:g} m: remove stray points far from the room; if there are none, store it in metres"
        )


def _inputs(scene: Scene, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the points of a room about its middle, and their colours as the network takes them. Shape: two (N, 3)."""
    arrays = (centred(scene.points), colour_features(scene.colours))
    points, colours = (torch.from_numpy(array).to(device) for array in arrays)
    return points, colours


def _logits(network: nn.Module, scene: Scene, voxels: Voxels, most: int | None = None) -> tuple[Tensor, int]:
    """Return the logits (M, Y) of the voxels of a room, and the number of tiles: 1 for at most `most`."""
    logits, num_tiles = tiled_logits(network, voxels.tensor, len(voxels.inverse) if most is None else most)
    if not logits.isfinite().all():
        raise ValueError(f"{scene.name}: logits that are not finite; the network has diverged")
    return logits, num_tiles


def _turned(points: Tensor, angle: float) -> Tensor:
    """Turn points about z; by 0 they stay as they are, bit for bit. Shape: (N, 3) -> (N, 3)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ points.new_tensor([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) if angle else points
