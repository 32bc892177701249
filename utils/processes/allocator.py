"""The C library's allocator in CPU runs."""

import ctypes
import os
import platform

import torch

# glibc returns every large tensor to the system and faults its pages in again at the next one. These settings of
# mallopt(3) let it keep them: parameter, value, and the environment variable by which a user may choose another.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
KEEP = (
    (M_MMAP_MAX, 0, "MALLOC_MMAP_MAX_"),
    (M_TRIM_THRESHOLD, -1, "MALLOC_TRIM_THRESHOLD_"),  # never
    (M_TOP_PAD, 2**28, "MALLOC_TOP_PAD_"),
)


def keep_freed_memory(device: torch.device) -> bool:
    """Let the allocator of this process keep freed memory, where that pays; whether it does.

    It pays in runs on a CPU under glibc. Nothing happens on other systems, on a CUDA device, or where any of the
    three environment variables of KEEP or GLIBC_TUNABLES is set, so that a user's own choice stands.
    """
    if device.type != "cpu" or platform.libc_ver()[0] != "glibc" or _is_chosen():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value, _ in KEEP)


def _is_chosen() -> bool:
    return any(name in os.environ for name in ("GLIBC_TUNABLES", *(name for *_, name in KEEP)))


def release_free_pages() -> None:
    """Give the heap's free pages back to the system, where the C library is glibc; elsewhere do nothing.

    Batches of unequal size leave holes in the heap, which glibc keeps.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
