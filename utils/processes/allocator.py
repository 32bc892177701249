"""Settings of the C library's allocator for CPU runs."""

import ctypes
import os
import platform

import torch

# glibc returns the memory of every large tensor to the system and faults its pages in again for the next one. These
# settings of mallopt(3) let it keep them: parameter, value, and the environment variable that overrides it.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
KEEP = (
    (M_MMAP_MAX, 0, "MALLOC_MMAP_MAX_"),
    (M_TRIM_THRESHOLD, -1, "MALLOC_TRIM_THRESHOLD_"),  # never
    (M_TOP_PAD, 2**28, "MALLOC_TOP_PAD_"),
)


def keep_freed_memory(device: torch.device) -> bool:
    """Let the allocator of this process keep freed memory in CPU runs under glibc; return whether it does.

    Does nothing where the user has chosen: GLIBC_TUNABLES or one of the variables of KEEP is set.
    """
    is_chosen = any(name in os.environ for name in ("GLIBC_TUNABLES", *(name for *_, name in KEEP)))
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc" or is_chosen:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value, _ in KEEP)


def release_free_pages() -> None:
    """Return the heap's free pages to the system under glibc, where batches of unequal size leave holes in it."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
