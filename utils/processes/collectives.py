"""Collectives of a training's ranks; models.distributed has those that its networks need.

With a single process every function returns what is right for one rank and communicates with nobody.
"""

import inspect
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from models.distributed import convert_batch_norms, get_rank, get_world_size


def leave_process_group() -> None:
    """Destroy the process group; from here on this process is alone."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def is_main_process() -> bool:
    """Return whether this is rank 0, which writes what is written once for all ranks."""
    return get_rank() == 0


def barrier() -> None:
    """Block until every rank arrives."""
    if get_world_size() > 1:
        distributed.barrier()


def seed_rank(seed: int) -> None:
    """Give every rank but the first its own global random draws (dropout); weights are drawn before, alike on all."""
    if not is_main_process():
        torch.manual_seed(seed + 1_000_003 * get_rank())


def distribute(module: nn.Module, device: torch.device) -> nn.Module:
    """Wrap a module for training on all ranks: BatchNorm statistics over all, gradients averaged.

    Parameters and buffers become those of the main process. With one process the module itself is returned.
    """
    if get_world_size() == 1:
        return module
    convert_batch_norms(module)
    is_new = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters  # since torch 2.15
    # Running statistics are equal on all ranks, because they are taken over all of them: nothing to broadcast.
    options = {"forward_sync_buffers" if is_new else "broadcast_buffers": False}
    # 1x1 convolutions of channels_last images: the memory is the same, the strides of dimensions of size 1 differ.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    device_ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(module, device_ids=device_ids, gradient_as_bucket_view=True, **options)


def all_reduce_mean(values: list[float], device: torch.device) -> list[float]:
    """Average each number over the ranks, in float64."""
    if get_world_size() == 1:
        return values
    numbers = torch.tensor(values, dtype=torch.float64, device=device)
    distributed.all_reduce(numbers)
    return (numbers / get_world_size()).tolist()


def gather_objects(value: object) -> list:
    """Return the picklable values of all ranks, in their order."""
    if get_world_size() == 1:
        return [value]
    values = [None] * get_world_size()
    distributed.all_gather_object(values, value)
    return values


def compute_on_main(compute: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Call a function on the main process and return its result on every rank."""
    if get_world_size() == 1:
        return compute()
    found = [compute() if is_main_process() else None]
    distributed.broadcast_object_list(found)
    return found[0]


def rank_rows(num_rows: int, rank: int | None = None) -> range:
    """Return the rows that a rank, by default this one, evaluates: each belongs to one rank, shares differ by 1."""
    rank = get_rank() if rank is None else rank
    return range(rank * num_rows // get_world_size(), (rank + 1) * num_rows // get_world_size())


def gather_rank_rows(rows: Tensor, num_rows: int) -> Tensor:
    """Concatenate what every rank computed for its `rank_rows`, on the CPU, in order."""
    if get_world_size() == 1:
        return rows
    padded = rows.new_zeros(-(-num_rows // get_world_size()), *rows.shape[1:])
    padded[: len(rows)] = rows
    if distributed.get_backend() == "nccl":
        padded = padded.cuda()
    parts = [torch.empty_like(padded) for _ in range(get_world_size())]
    distributed.all_gather(parts, padded)
    return torch.cat([part[: len(rank_rows(num_rows, rank))].cpu() for rank, part in enumerate(parts)])
