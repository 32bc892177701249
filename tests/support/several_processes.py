"""Run functions in several processes that talk through gloo, as in a distributed training on one machine."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed, multiprocessing


def run_in_processes(
    function: Callable[..., object], world_size: int, folder: Path, *args: object, has_group: bool = True
) -> list:
    """Return what `function(*args)` returns in each process, by rank; anything that torch.save writes.

    The function must be importable. It finds a process group, or without `has_group` the environment that torchrun
    sets. Processes are forked from a server that has imported torch and the programs once.
    """
    programs = ["train_crosspoint", "train_partseg", "scripts.finetune_cls"]
    multiprocessing.set_forkserver_preload(["torch", "torchvision", "pytest", *programs, "tests.support.light_runs"])
    folder = folder / f"{function.__name__}-{world_size}"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (function, world_size, port, str(folder), has_group, args)
    multiprocessing.start_processes(_run, arguments, nprocs=world_size, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world_size)]


def _run(rank: int, function: Callable, world_size: int, port: int, folder: str, has_group: bool, args: tuple) -> None:
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
    torch.set_num_threads(1)
    if has_group:
        distributed.init_process_group("gloo")
    torch.save(function(*args), f"{folder}/{rank}.pt")
    if has_group:
        distributed.destroy_process_group()
