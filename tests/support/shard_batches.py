"""Loaders over tiny shards."""

from pathlib import Path

import pytest
import torch

from datasets.shards.shard_pairs import ShardPairs
from utils.training.shard_loader import ShardLoader

SHAPES, BATCH, STREAMS = 37, 8, 4
FORKING = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def open_loader(
    folder: Path | str, *, num_workers=0, rank=0, world_size=1, seed=1, streams=STREAMS, shuffle_buffer=3, **options
) -> ShardLoader:
    """Open a loader of batches of BATCH; other options are `skips_bad` and those of ShardPairs."""
    skips_bad = options.pop("skips_bad", False)
    pairs = ShardPairs(str(folder), **({"image_size": 12, "num_points": 23, "seed": seed} | options))
    return ShardLoader(
        pairs, BATCH, seed=seed, num_workers=num_workers, pin_memory=False, rank=rank, world_size=world_size,
        streams=streams, shuffle_buffer=shuffle_buffer, skips_bad=skips_bad,
    )  # fmt: skip


def load(folder: Path | str, epoch: int = 0, start: int = 0, **options) -> list[dict[str, torch.Tensor]]:
    """Load the batches of an epoch."""
    return list(open_loader(folder, **options).epoch(epoch, start))


def join(ranks: list[list[dict]]) -> list[dict]:
    """Concatenate the batches of all ranks."""
    return [{name: _join([rows[name] for rows in step]) for name in step[0]} for step in zip(*ranks)]


def _join(parts: list) -> torch.Tensor | list:
    return torch.cat(parts) if isinstance(parts[0], torch.Tensor) else [value for part in parts for value in part]


def assert_same(a: list[dict], b: list[dict]) -> None:
    """Assert that batches have equal keys and values, bit for bit."""
    assert len(a) == len(b)
    for one, other in zip(a, b):
        assert list(one) == list(other)
        for name, value in one.items():
            assert torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name], name
