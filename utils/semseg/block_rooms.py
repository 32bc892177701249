"""Networks of blocks on rooms: figures over blocks, as published, and the class of every point of a room.

Letters: N points of a room, P points drawn of a block, B blocks, Y classes.
"""

from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datasets.scenes.room_blocks import (
    FEWEST,
    BlockForm,
    block_channels,
    covering_draws,
    draw_rows,
    grid_blocks,
    placed,
)
from datasets.scenes.scene import IGNORED, Scene
from utils.evaluation.features import eval_mode
from utils.semseg.confusion import ConfusionMatrix

BATCH = 8  # blocks in a forward pass
_DETAILS = 20  # along the edge of a block: what is smaller is taken to matter little, as below a voxel of 0.05 m


class BlockRooms:
    """A trained network of blocks, and how rooms are cut for it.

    Args:
        network: blocks (B, P, 9) -> logits (B, P, Y).
        origin: what its run recorded, the form of the blocks among it.
    """

    def __init__(self, network: nn.Module, origin: dict[str, Any]):
        self.network, self.origin = network, origin
        self.form = BlockForm(origin["block_size"], origin["block_stride"], origin["num_points"])
        self.detail_m = self.form.size / _DETAILS
        self.words = f"blocks of {self.form.size:g} m every {self.form.stride:g} m, {self.form.num_points} points"

    def probabilities(self, scene: Scene, device: torch.device, *, votes: int = 1) -> Tensor:
        """Return the probabilities of the classes at every point of a room (N, Y)."""
        return block_probabilities(self.network.to(device), scene, self.form, device, votes=votes)

    def classify(self, scene: Scene, device: torch.device) -> tuple[np.ndarray, str]:
        """Return the class of every point (N,) uint8 of a room of any size, and in words what it was cut into."""
        found, num_blocks = _look(self.network.to(device), scene, self.form, device)
        return found.argmax(dim=1).to(torch.uint8).cpu().numpy(), f"{num_blocks} blocks"

    def count_blocks(self, rooms: Iterable[Scene], device: torch.device) -> ConfusionMatrix:
        """Count the points drawn of all blocks by true and predicted class."""
        return count_blocks(self.network.to(device), rooms, len(self.origin["class_names"]), self.form, device)


def count_blocks(
    network: nn.Module, rooms: Iterable[Scene], num_classes: int, form: BlockForm, device: torch.device
) -> ConfusionMatrix:
    """Count points by true and predicted class as published: P points drawn once of every block of the grid.

    Blocks with fewer than FEWEST points are left out. A point of several blocks counts in each that draws it, one that
    is drawn twice counts twice. The draws of a room are always the same.

    Raises:
        ValueError: a logit is not finite.
    """
    matrix = ConfusionMatrix(num_classes, IGNORED)
    for room in map(placed, rooms):
        rng = np.random.default_rng(0)
        blocks = grid_blocks(room.points, form.size, form.stride)
        draws = (draw_rows(block.rows, form.num_points, rng) for block in blocks if len(block.rows) >= FEWEST)
        for rows, logits in _run(network, room, draws, form, device):
            matrix.add(room.labels[rows].ravel(), logits.argmax(dim=2).flatten().cpu().numpy())
    return matrix


def block_probabilities(
    network: nn.Module, scene: Scene, form: BlockForm, device: torch.device, *, votes: int = 1
) -> Tensor:
    """Return the probabilities (N, Y) of the classes at every point of a room: their mean over all that draw it.

    Every block of the grid, also one of few points, is drawn from until each of its points was seen.

    Args:
        network: on `device`.
        votes: V looks at the room: the grid moved on by 1 / V of its step, other draws.
    Raises:
        ValueError: a logit is not finite.
    """
    return _look(network, scene, form, device, votes)[0]


def _look(
    network: nn.Module, scene: Scene, form: BlockForm, device: torch.device, votes: int = 1
) -> tuple[Tensor, int]:
    """Return what `block_probabilities` does, and the number of blocks of all looks."""
    room, total, numbers = placed(scene), None, count()
    for vote in range(votes):
        rng = np.random.default_rng(vote)
        blocks = grid_blocks(room.points, form.size, form.stride, -form.stride * vote / votes)
        numbered = zip(blocks, numbers)  # takes a number for each block, none at the end
        draws = (rows for block, _ in numbered for rows in covering_draws(block.rows, form.num_points, rng))
        for rows, logits in _run(network, room, draws, form, device):
            found = logits.float().softmax(dim=2).flatten(0, 1)
            if total is None:
                total = found.new_zeros(len(room.points), found.shape[1])
            total.index_add_(0, torch.from_numpy(rows.ravel()).to(device), found)
    return total / total.sum(dim=1, keepdim=True), next(numbers)


def _run(
    network: nn.Module, room: Scene, draws: Iterator[np.ndarray], form: BlockForm, device: torch.device
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield the rows of some draws (B, P), and the logits of their points (B, P, Y)."""
    extent = room.points.max(axis=0)
    while some := list(islice(draws, BATCH)):
        blocks = np.stack([block_channels(room, extent, rows, form.size) for rows in some])
        with eval_mode(network), torch.inference_mode():
            logits = network(torch.from_numpy(blocks).to(device))
        if not logits.isfinite().all():
            raise ValueError(f"{room.name}: logits that are not finite; the network has diverged")
        yield np.stack(some), logits
