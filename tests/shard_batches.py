"""Loaders over tiny shards."""

from pathlib import Path

import pytest
import torch

from datasets.shards.pairs import ShardPairs
from utils.shard_loader import ShardLoader

SHAPES, BATCH, STREAMS = 37, 8, 4
FORKING = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def open_loader(
    folder: Path | str, *, num_workers=0, rank=0, world_size=1, seed=1, streams=STREAMS, shuffle_buffer=3, **options
) -> ShardLoader:
    """A loader of batches of BATCH; other options are those of ShardPairs."""
    pairs = ShardPairs(str(folder), **({"image_size": 12, "num_points": 23, "seed": seed} | options))
    return ShardLoader(
        pairs, BATCH, seed=seed, num_workers=num_workers, pin_memory=False, rank=rank, world_size=world_size,
        streams=streams, shuffle_buffer=shuffle_buffer,
    )  # fmt: skip


def load(folder: Path | str, epoch: int = 0, start: int = 0, **options) -> list[dict[str, torch.Tensor]]:
    """The batches of an epoch."""
    return list(open_loader(folder, **options).epoch(epoch, start))
