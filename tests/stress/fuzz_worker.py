"""The reading of a damaged file, on which the process may die, hang or exhaust its memory."""

import resource
import signal
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.stress.fuzz_formats import Format

CPU_LIMIT_S = 20  # per file; processor time, because a busy machine makes wall time meaningless
WALL_LIMIT_S = 600
MEMORY_MIB = 1024  # beyond what the process has when it opens the file


class Job(NamedTuple):
    """A file to read: an original, with the damage that `seed` draws, without a seed as it is."""

    kind: Format
    original: Path
    seed: tuple[int, int] | None = None
    cpu_limit_s: float = CPU_LIMIT_S

    def damaged(self) -> tuple[str, bytes]:
        """Return the name of the damage and the bytes to read."""
        content = self.original.read_bytes()
        return self.kind.mutate(content, np.random.default_rng(self.seed)) if self.seed else ("none", content)


class Outcome(NamedTuple):
    """Result of one file: a digest of its content, the message that refuses it, or a breach of the rules."""

    digest: str = ""
    refusal: str = ""
    breach: str = ""


def read_limited(job: Job) -> Outcome:
    """Read one file in a process that does nothing else; beyond a limit of time it dies of SIGPROF or SIGALRM."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_MIB * 2**20
    with tempfile.TemporaryDirectory(dir=job.original.parent) as folder, warnings.catch_warnings(action="ignore"):
        path = Path(folder, job.kind.name)
        path.write_bytes(job.damaged()[1])
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
        signal.setitimer(signal.ITIMER_PROF, job.cpu_limit_s)  # the signal ends the process even in native code
        signal.alarm(WALL_LIMIT_S)
        try:
            return Outcome(digest=job.kind.read(path))
        except (ValueError, OSError) as error:
            if path.name not in str(error):
                return Outcome(breach=f"the message does not name the file: {type(error).__name__}: {error}")
            return Outcome(refusal=str(error))
        except Exception as error:  # any other exception breaks the rule
            return Outcome(breach=f"{type(error).__name__}: {error}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
