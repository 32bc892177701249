"""Run functions in processes of their own: one alone, or several that talk through gloo as in a distributed training.

Processes are forked from a server that has imported torch and the programs once, which saves several seconds each. They
are not forked from this one: torch may refuse gradients in the fork of a process that has computed some.
"""

import os
import socket
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import distributed, multiprocessing

START_METHOD = "forkserver"
_PROGRAMS = ("train_crosspoint", "train_partseg", "scripts.finetune_cls")
multiprocessing.set_forkserver_preload(["torch", "torchvision", "pytest", *_PROGRAMS, "tests.support.light_runs"])


def run_in_own_process(function: Callable[..., object], *args: object) -> object:
    """Return what `function(*args)` returns in a process of its own, or raise what it raises.

    The function must be importable; it, its arguments and its result must pickle.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context(START_METHOD), be_as_started_anew) as processes:
        return processes.submit(function, *args).result()


def run_in_processes(
    function: Callable[..., object], world_size: int, folder: Path, *args: object, has_group: bool = True
) -> list:
    """Return what `function(*args)` returns in each process, by rank; anything that torch.save writes.

    The function must be importable. It finds a process group, or without `has_group` the environment that torchrun
    sets.
    """
    folder = folder / f"{function.__name__}-{world_size}"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (function, world_size, port, str(folder), has_group, args)
    multiprocessing.start_processes(_run, arguments, nprocs=world_size, start_method=START_METHOD)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(world_size)]


def be_as_started_anew() -> None:
    """Undo what a process has of the tests: captured output, warnings as errors, more than one thread."""
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    warnings.resetwarnings()
    torch.set_num_threads(1)


def _run(rank: int, function: Callable, world_size: int, port: int, folder: str, has_group: bool, args: tuple) -> None:
    be_as_started_anew()
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
    if has_group:
        distributed.init_process_group("gloo")
    torch.save(function(*args), f"{folder}/{rank}.pt")
    if has_group:
        distributed.destroy_process_group()
