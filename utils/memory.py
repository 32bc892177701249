"""Memory of CPU runs."""

import ctypes
import sys


def release_free_pages() -> None:
    """Give the heap's free pages back to the system, where the C library is glibc; elsewhere do nothing.

    Batches of unequal size leave holes in the heap, which glibc keeps: without this the process grows by hundreds of
    MiB an epoch.
    """
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
