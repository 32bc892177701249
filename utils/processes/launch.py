"""The process group of a program: one process alone, or the ranks that torchrun or a scheduler started."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from models.distributed import get_world_size
from utils.processes.allocator import keep_freed_memory
from utils.processes.collectives import barrier, leave_process_group
from utils.processes.device import get_device
from utils.processes.stop import Stopped
from utils.settings import Settings, flag

BACKENDS = ("nccl", "gloo")
PATIENCE = timedelta(minutes=30)  # of a rank for the others, while the main process fits an SVM


@dataclass(frozen=True)
class ProcessSettings(Settings):
    """Device and process group of a program that runs on one rank or many."""

    device: str = flag("auto", "auto, cpu, cuda or cuda:N", is_free=True)
    world_size: int | None = flag(
        None, "refuse another number of processes; as CrossPoint-DDP has it", at_least=1, is_free=True
    )
    backend: str | None = flag(
        None, "of the process group (default: nccl on GPUs, else gloo)", choices=BACKENDS, is_free=True
    )


@contextmanager
def process_group(settings: ProcessSettings) -> Iterator[torch.device]:
    """Join the process group this process was started in, yield the rank's device, and leave at the end of the block.

    On the CPU the allocator keeps freed memory from here on.

    Raises:
        ValueError: a device or backend that does not fit, or another number of processes than asked for.
    """
    world_size, local_rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    if world_size > 1 and settings.world_size not in (None, 1, world_size):
        raise ValueError(f"--world_size {settings.world_size}, but {world_size} processes were started; leave it out")
    if world_size > 1 and settings.device.startswith("cuda:"):
        raise ValueError(f"--device {settings.device}: {world_size} processes take a device each; pass --device cuda")
    device = get_device(settings.device)
    if device.type == "cuda":
        device = get_device(f"cuda:{local_rank}") if world_size > 1 else device
        torch.cuda.set_device(device)
    keep_freed_memory(device)
    if world_size == 1:
        yield device
        return
    backend = settings.backend or ("nccl" if device.type == "cuda" else "gloo")
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
    barrier()  # a scheduler may end the main process, which still scores the result, soon after another rank has ended
    leave_process_group()


def launch_notes(settings: ProcessSettings, batch_size: int) -> list[str]:
    """Explain --world_size where the program was started as a single process."""
    if get_world_size() > 1 or settings.world_size in (None, 1):
        return []
    return [
        f"--world_size {settings.world_size}: one process computes the whole batch of {batch_size}, with the same "
        f"result; for more start the same command with torchrun --nproc_per_node={settings.world_size}"
    ]
