"""Stand-ins for worker processes: they run jobs in this process from pickled copies, as a spawned worker gets them."""

from collections.abc import Callable, Iterator, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any

from data.rendering import isolated_workers


class PickledPool:
    """Replaces ProcessPoolExecutor; it runs the items in reverse, so that none can rely on those before it."""

    def __init__(self, *_: object, **__: object):
        pass

    def __enter__(self) -> "PickledPool":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], chunksize: int) -> Iterator[Any]:
        jobs = [ForkingPickler.dumps((function, item)) for item in items]
        results = [ForkingPickler.dumps(call(item)) for call, item in map(ForkingPickler.loads, reversed(jobs))]
        return map(ForkingPickler.loads, reversed(results))


def run_pickled(
    function: Callable[[Any], Any], jobs: Sequence[Any], num_workers: int
) -> Iterator[isolated_workers.Outcome]:
    """Replace `run_isolated`."""
    for job in jobs:
        call, copy = ForkingPickler.loads(ForkingPickler.dumps((function, job)))
        yield isolated_workers.Outcome(job, *isolated_workers.attempt(call, copy))
