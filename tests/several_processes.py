"""Functions run in several processes that talk through gloo, as in a distributed training on one machine."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed, multiprocessing


def run_in_processes(function: Callable[..., object], world_size: int, folder: Path, *args: object) -> list:
    """What `function(*args)` returns in each process, by rank; anything torch.save writes.

    The function is importable. Processes are forked from a server that has imported torch once.
    """
    multiprocessing.set_forkserver_preload(["torch", "torchvision", "train_crosspoint", "scipy.spatial"])
    folder = folder / f"{function.__name__}-{world_size}"
    folder.mkdir()
    multiprocessing.start_processes(
        _run, (function, world_size, str(folder), args), nprocs=world_size, start_method="forkserver"
    )
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world_size)]


def _run(rank: int, function: Callable[..., object], world_size: int, folder: str, args: tuple) -> None:
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo"}
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=world_size)
    torch.save(function(*args), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()
