"""Batches whose order and content are a function of (seed, epoch) alone, whatever the number of workers."""

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, Sampler


class EpochSampler(Sampler[int]):
    """A permutation of 0 .. length - 1 that depends on (seed, epoch) only.

    Args:
        length: number of samples.
        seed: of the run.
    """

    def __init__(self, length: int, seed: int):
        self.length = length
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        yield from torch.randperm(self.length, generator=generator).tolist()


class EpochLoader:
    """DataLoader over a data set with `set_epoch`, dropping the last incomplete batch.

    Args:
        dataset: map-style, with `set_epoch(epoch)`.
        batch_size: samples per step.
        seed: of the run.
        num_workers: loader processes; 0 loads in the training process.
        pin_memory: for transfers to a GPU.
    Raises:
        ValueError: the batch is larger than the data set.
    """

    def __init__(self, dataset: Dataset, batch_size: int, *, seed: int, num_workers: int, pin_memory: bool):
        if batch_size > len(dataset):
            raise ValueError(
                f"--batch_size {batch_size} is larger than the data set ({len(dataset)} shapes); lower it or add shapes"
            )
        self.dataset = dataset
        self.sampler = EpochSampler(len(dataset), seed)
        self.loader = DataLoader(
            dataset,
            batch_size,
            sampler=self.sampler,
            drop_last=True,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=pin_memory,
            # Its own: each new iterator draws a seed for its workers, by default from the generator dropout uses.
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int) -> Iterator[dict]:
        """Batches of that epoch."""
        self.sampler.epoch = epoch
        self.dataset.set_epoch(epoch)
        try:
            yield from self.loader
        except (ValueError, OSError) as error:
            raise _without_worker_traceback(error) from error
        except RuntimeError as error:
            if "DataLoader worker (pid" not in str(error):
                raise
            raise OSError(
                f"a loader process was killed ({error}); was memory short? Lower --num_workers, or pass --num_workers 0"
            ) from error


def _without_worker_traceback(error: Exception) -> Exception:
    """The error as the data set raised it: a loader process wraps its message in a traceback."""
    name = type(error).__name__
    if f"Caught {name} in DataLoader worker process" not in str(error):
        return error
    return type(error)(str(error).rsplit(f"\n{name}: ", 1)[-1].strip())
