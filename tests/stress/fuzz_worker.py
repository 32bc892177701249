"""A process that reads damaged files and may die, hang or exhaust its memory on any of them."""

import multiprocessing
import resource
import signal
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, Self

from tests.stress.fuzz_formats import Format

CPU_LIMIT_S = 20  # per file; processor time, because a busy machine makes wall time meaningless
WALL_LIMIT_S = 600
MEMORY_MIB = 1024  # beyond what the process has when it starts


class Outcome(NamedTuple):
    """Result of one file: a digest of its content, the message that refuses it, or a breach of the rules."""

    digest: str = ""
    refusal: str = ""
    breach: str = ""


class Reader:
    """Reads files in a process of its own, which is restarted when it dies; a context manager.

    Args:
        cpu_limit_s: limit on the processor time of one file.
    """

    def __init__(self, cpu_limit_s: float = CPU_LIMIT_S) -> None:
        self.cpu_limit_s = cpu_limit_s
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def read(self, kind: Format, path: Path) -> Outcome:
        """Read one file and return the outcome."""
        self._pipe.send((kind, path))
        try:
            if self._pipe.poll(WALL_LIMIT_S):
                return self._pipe.recv()
            breach = f"no answer in {WALL_LIMIT_S} s"
        except (EOFError, ConnectionError):
            self._process.join()
            status = -self._process.exitcode
            hangs = status == signal.SIGPROF
            breach = f"more than {self.cpu_limit_s} s" if hangs else f"the process died of it (exit status {-status})"
        self._stop()
        self._start()
        return Outcome(breach=breach)

    def _start(self) -> None:
        # A fork of a small server, started once, starts fast and does not inherit the memory of this process.
        multiprocessing.set_forkserver_preload(["tests.stress.fuzz_formats"])
        context = multiprocessing.get_context("forkserver")
        self._pipe, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(far_end, self.cpu_limit_s), daemon=True)
        self._process.start()
        far_end.close()

    def _stop(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, cpu_limit_s: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_MIB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    while True:
        try:
            kind, path = pipe.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, cpu_limit_s)  # the signal ends the process even in native code
        outcome = _read(kind, path)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(outcome)


def _read(kind: Format, path: Path) -> Outcome:
    try:
        return Outcome(digest=kind.read(path))
    except (ValueError, OSError) as error:
        if path.name not in str(error):
            return Outcome(breach=f"the message does not name the file: {type(error).__name__}: {error}")
        return Outcome(refusal=str(error))
    except Exception as error:  # any other exception breaks the rule
        return Outcome(breach=f"{type(error).__name__}: {error}")
