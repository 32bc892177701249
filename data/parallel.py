"""Parallel map over processes with a progress bar."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol

from tqdm import tqdm


class Map(Protocol):
    """Applies a function to every item and yields the results in order, each as soon as those before it are done."""

    def __call__(self, function: Callable[[Any], Any], items: Sequence[Any], label: str) -> Iterator[Any]: ...


@contextmanager
def parallel_map(workers: int) -> Iterator[Map]:
    """Yield a `Map` on `workers` processes, or in this process for one.

    Functions and items must be picklable: processes are spawned, because a fork of a threaded process may hang.

    Raises:
        OSError: one of the processes was killed.
    """
    if workers <= 1:
        yield lambda function, items, label: iter(tqdm(map(function, items), label, len(items), disable=None))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:

        def run(function: Callable[[Any], Any], items: Sequence[Any], label: str) -> Iterator[Any]:
            chunk = min(64, max(1, len(items) // (8 * workers)))
            return iter(tqdm(pool.map(function, items, chunksize=chunk), label, len(items), disable=None))

        try:
            yield run
        except BrokenProcessPool as error:
            raise OSError("a worker process was killed; was memory short? Pass fewer --workers") from error
