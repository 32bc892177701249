"""One launch of a training that will be interrupted: its progress, whether it is saving, and its end."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from utils.run.names import CONFIG_FILE, STATE_FILE
from utils.run.provenance import REPO

POLL_S = 0.005
_MARK = "KILL_RESUME_LAUNCH"  # every process of a launch has it in its environment
_LENGTH = re.compile(r" (\d+) steps an epoch")
_STEP = re.compile(r" epoch (\d+) step (\d+)/\d+  ")
_RESUMED = re.compile(r" resumed at epoch (\d+), step (\d+), from (\S+)")
_BEGUN = "yet: training begins"


class Start(NamedTuple):
    """Where a launch began to train."""

    step: int  # since the start of the run
    source: str  # name of the state it was resumed from


class Launch:
    """train_crosspoint.py in processes of its own, with --resume when its folder holds a run; killed on leaving.

    Args:
        flags: of train_crosspoint.py, without --output_dir, --exp_name and --resume.
        run_dir: folder of the run; its log may hold earlier launches.
        processes: number of ranks; torchrun starts more than one.
        output: file to which the processes' output is appended.
    """

    def __init__(self, flags: Sequence[str], run_dir: Path, processes: int, output: Path):
        self.run_dir, self.processes, self.output = run_dir, processes, output
        self._log = run_dir / "run.log"
        self._left = set(self._unfinished())  # by an earlier launch
        self._before = self._log.stat().st_size if self._log.exists() else 0
        mark = {_MARK: uuid.uuid4().hex}
        self._mark = f"{_MARK}={mark[_MARK]}"
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        words = [*(torchrun if processes > 1 else []), "train_crosspoint.py", *flags]
        words += ["--output_dir", str(run_dir.parent), "--exp_name", run_dir.name]
        words += ["--resume"] if (run_dir / CONFIG_FILE).exists() else []
        environment = os.environ | mark | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        self.start = time.monotonic()
        with output.open("ab") as stream:
            options = {"stdout": stream, "stderr": stream, "start_new_session": True}
            self._root = subprocess.Popen([sys.executable, *words], cwd=REPO, env=environment, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def text(self) -> str:
        """Read what this launch has written to run.log."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as stream:
            stream.seek(self._before)
            return stream.read().decode()

    def steps(self) -> list[int]:
        """List the steps it has finished, counted from the start of the run."""
        text = self.text
        return [int(epoch) * self._length(text) + int(step) for epoch, step in _STEP.findall(text)]

    def began(self) -> Start | None:
        """Return where it began to train, None before it did."""
        text = self.text
        if found := _RESUMED.search(text):
            return Start(int(found[1]) * self._length(text) + int(found[2]), found[3])
        return Start(0, "-") if _BEGUN in text or _STEP.search(text) else None

    @staticmethod
    def _length(text: str) -> int:
        return int(_LENGTH.search(text)[1])

    def is_saving(self) -> bool:
        """Say whether a state is being written, or was when the launch was killed."""
        return any(path not in self._left for path in self._unfinished())

    def _unfinished(self) -> Iterator[Path]:
        return self.run_dir.glob(f".{STATE_FILE}.*")

    def status(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._root.poll()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition.

        Raises:
            RuntimeError: the training ended before.
        """
        while not condition():
            if self.status() is not None and not condition():
                raise RuntimeError(f"the training ended with {self.status()} before its interruption{self._tail()}")
            time.sleep(POLL_S)

    def require_success(self) -> None:
        """Wait for its end.

        Raises:
            RuntimeError: the training failed.
        """
        if self._root.wait():
            raise RuntimeError(f"the training failed with {self.status()}{self._tail()}")

    def _tail(self) -> str:
        return ":\n" + "\n".join(self.output.read_text().splitlines()[-20:])

    def kill(self) -> None:
        """Send SIGKILL to every process, those of torchrun and of data loaders too, until none is left."""
        self._root.kill()
        while pids := self.pids():
            for pid in pids:
                _send(pid, signal.SIGKILL)
            time.sleep(POLL_S)
        self._root.wait()

    def stop(self, number: signal.Signals) -> int:
        """Ask it to stop as a scheduler does; return the exit status.

        torchrun forwards SIGTERM only, so any other signal goes to the last rank.
        """
        is_own = self.processes == 1 or number == signal.SIGTERM
        pids = [self._root.pid] if is_own else self.pids(f"RANK={self.processes - 1}")
        for pid in pids[:1]:
            _send(pid, number)
        return self._root.wait()

    def pids(self, also: str = "") -> list[int]:
        """List the living processes of this launch, the oldest first; only those with `also` in their environment."""
        wanted = {word.encode() for word in (self._mark, also) if word}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = set((folder / "environ").read_bytes().split(b"\0"))
            except OSError:  # the process has ended or is another user's
                continue
            if wanted <= words:
                found.append(int(folder.name))
        return sorted(found)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
