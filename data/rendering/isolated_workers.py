"""Worker processes that run a function on many jobs, where the death of one fails only its own job."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Outcome(NamedTuple):
    """Outcome of a job: the function's `result`, or the text of the `error` if it failed."""

    job: Any
    result: Any
    error: str | None


class _Worker(NamedTuple):
    process: BaseProcess
    pipe: Connection
    job: Any


def run_isolated(function: Callable[[Any], Any], jobs: Sequence[Any], num_workers: int) -> Iterator[Outcome]:
    """Yield the outcome of every job, in order of completion.

    An exception or the death of a process (a crash in native code, memory exhausted) fails only its own job; a new
    process takes the place of a dead one. Each process uses one thread.

    Args:
        function: importable at module level; it, its jobs and its results must pickle.
        jobs: one argument per call.
        num_workers: > 0; at most as many processes as jobs are started.
    """
    waiting = list(reversed(jobs))
    workers: dict[Connection, _Worker] = {}
    try:
        while waiting and len(workers) < num_workers:
            _start(function, waiting.pop(), workers)
        while workers:
            for pipe in wait(list(workers)):
                worker = workers.pop(pipe)
                outcome, is_alive = _receive(worker)
                if waiting and is_alive:
                    workers[pipe] = worker._replace(job=waiting.pop())
                    _send(workers[pipe])
                else:
                    _stop(worker)
                    if waiting:
                        _start(function, waiting.pop(), workers)
                yield outcome
    finally:
        for worker in workers.values():
            _stop(worker)


def _start(function: Callable[[Any], Any], job: Any, workers: dict[Connection, _Worker]) -> None:
    """Spawn a process, because native libraries and their threads do not survive a fork safely."""
    context = multiprocessing.get_context("spawn")
    pipe, far_end = context.Pipe()
    process = context.Process(target=_serve, args=(function, far_end), daemon=True)
    with _one_thread():
        process.start()
    far_end.close()  # else the death of the process would not end the stream
    workers[pipe] = _Worker(process, pipe, job)
    _send(workers[pipe])


def _send(worker: _Worker) -> None:
    with suppress(ConnectionError):  # the process is dead already: _receive will find the end of the stream
        worker.pipe.send(worker.job)


def _serve(function: Callable[[Any], Any], pipe: Connection) -> None:
    """Run one job after another in a worker, until the parent closes the pipe or kills it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which stops the workers
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(function, job))


def attempt(function: Callable[[Any], Any], job: Any) -> tuple[Any, str | None]:
    """Run one job; return its result and None, or None and the text of its error."""
    try:
        return function(job), None
    except Exception as error:  # any error belongs to its job
        name = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
        return None, f"{name}{error}"


def _receive(worker: _Worker) -> tuple[Outcome, bool]:
    """Receive an outcome, and whether the process is still alive."""
    try:
        result, error = worker.pipe.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        return Outcome(worker.job, None, f"the process died of it (exit code {worker.process.exitcode})"), False
    return Outcome(worker.job, result, error), True


def _stop(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit the numeric libraries of processes started within to one thread; they read the limits when they load."""
    before = {name: os.environ.get(name) for name in THREAD_LIMITS}
    os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
