"""The C library's allocator in CPU runs."""

import os
import platform
import sys

import torch

# glibc returns every large tensor to the system and faults its pages in again at the next one.
KEEP = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}


def keep_freed_memory(device: str) -> None:
    """Start this program anew with an allocator that keeps freed memory, where that pays.

    It pays in runs on a CPU under glibc. Nothing happens on other systems, with a CUDA device, or where any of the
    three variables of KEEP is set already, so that a user's own choice stands.

    Args:
        device: the value of --device.
    """
    uses_cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if uses_cuda or platform.libc_ver()[0] != "glibc" or KEEP.keys() & os.environ.keys():
        return
    os.execve(sys.executable, sys.orig_argv, os.environ | KEEP)
