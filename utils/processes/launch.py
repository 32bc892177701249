"""How a program becomes one of several processes, as torchrun or a scheduler starts them."""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

from models.distributed import get_world_size
from utils.processes.collectives import barrier, leave_process_group
from utils.processes.device import get_device
from utils.processes.stop import Stopped

BACKENDS = ("nccl", "gloo")
PATIENCE = timedelta(minutes=30)  # of a process for the others, while one of them fits an SVM


def add_process_args(parser: argparse.ArgumentParser) -> None:
    """Flags of programs that run on one process or many; how many is said to torchrun."""
    group = parser.add_argument_group("several processes", "torchrun --nproc_per_node=N PROGRAM ... starts them")
    group.add_argument(
        "--world_size", type=int, default=None, help="refuse another number of processes; as CrossPoint-DDP has it"
    )
    group.add_argument("--backend", choices=BACKENDS, help="through which they talk (default: nccl on GPUs, else gloo)")


@contextmanager
def process_group(args: argparse.Namespace) -> Iterator[torch.device]:
    """Join the processes this one was started with, and yield its device; they part at the end of the block.

    Args:
        args: device, backend, world_size.
    Raises:
        ValueError: a device or backend that does not fit, or another number of processes than asked for.
    """
    if args.world_size is not None and args.world_size < 1:
        raise ValueError(f"--world_size must be at least 1, got {args.world_size}")
    world_size, local_rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    if world_size > 1 and args.world_size not in (None, 1, world_size):
        raise ValueError(f"--world_size {args.world_size}, but {world_size} processes were started; leave it out")
    if world_size > 1 and args.device.startswith("cuda:"):
        raise ValueError(f"--device {args.device}: {world_size} processes take a device each; pass --device cuda")
    device = get_device(args.device)
    if device.type == "cuda":
        device = get_device(f"cuda:{local_rank}") if world_size > 1 else device
        torch.cuda.set_device(device)
    if world_size == 1:
        yield device
        return
    backend = args.backend or ("nccl" if device.type == "cuda" else "gloo")
    if backend == "nccl" and device.type != "cuda":
        raise ValueError("--backend nccl needs GPUs; pass --backend gloo")
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield device
    except Stopped:
        leave_process_group()
        raise
    except RuntimeError as error:
        if "onnection" not in str(error):
            raise
        raise OSError(f"lost another process; what it said is the reason ({str(error).splitlines()[0]})") from error
    barrier()  # for the first, which scores the result: a scheduler may end it soon after another has ended
    leave_process_group()


def launch_notes(args: argparse.Namespace) -> list[str]:
    """What to say of --world_size in a program that was started alone."""
    if get_world_size() > 1 or args.world_size in (None, 1):
        return []
    return [
        f"--world_size {args.world_size}: one process computes the whole batch of {args.batch_size}, with the same "
        f"result; for more start the same command with torchrun --nproc_per_node={args.world_size}"
    ]
