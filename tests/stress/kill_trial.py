"""A training that is interrupted again and again, and what each interruption costs."""

import random
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.stress.kill_launch import POLL_S, Launch, Start
from utils.cli import STOPPED
from utils.run.names import PREVIOUS_FILE, STATE_FILE

# How a launch is interrupted: killed at a random moment while it starts, trains or writes a state; stopped by a signal;
# killed while it trains, and its newest state damaged.
START, STEP, SAVE = "start", "step", "save"
STOPS = (signal.SIGUSR1.name, signal.SIGTERM.name)
DAMAGES = ("truncated", "flipped")
_FLIPPED = 4096  # bytes, more than the padding between two tensors, which is not read


@dataclass
class Interruption:
    """One interruption, and where training went on."""

    how: str
    seconds: float  # since the start of the process
    is_saving: bool  # a state was being written
    step: int | None  # last one finished; None: the launch had not begun to train
    faults: list[str]
    began: Start | None = None  # of the next launch that trained

    @property
    def lost(self) -> int | None:
        """Return the number of steps that had to be repeated."""
        return None if self.step is None or self.began is None else self.step - self.began.step


@dataclass
class Uninterrupted:
    """Length and timing of the run without interruptions."""

    num_steps: int
    seconds: float
    start_seconds: float  # up to the first step
    save_seconds: float  # of one state


def train_uninterrupted(flags: Sequence[str], run_dir: Path, processes: int, output: Path) -> Uninterrupted:
    """Run the training that the interrupted one is compared with.

    Raises:
        RuntimeError: the training failed.
    """
    launch = Launch(flags, run_dir, processes, output)
    started, saving, saves = 0.0, 0.0, []
    try:
        while launch.status() is None:
            now = time.monotonic()
            started = started or (now if launch.steps() else 0.0)
            if launch.is_saving():
                saving = saving or now
            elif saving:
                saves.append(now - saving)
                saving = 0.0
            time.sleep(POLL_S)
    finally:
        launch.kill()
    _require_success(launch)
    seconds = time.monotonic() - launch.start
    return Uninterrupted(launch.steps()[-1], seconds, started - launch.start, statistics.median(saves))


class Trial:
    """A run that is interrupted launch by launch.

    Args:
        flags: of train_crosspoint.py, with --save_every_steps.
        save_every_steps: value of that flag: the number of steps that a kill may cost.
        expected: the same run without interruptions.
    """

    def __init__(
        self,
        flags: Sequence[str],
        run_dir: Path,
        processes: int,
        output: Path,
        *,
        save_every_steps: int,
        expected: Uninterrupted,
        rng: random.Random,
    ):
        self.flags, self.run_dir, self.processes, self.output = flags, run_dir, processes, output
        self.every, self.expected, self.rng = save_every_steps, expected, rng
        self.interruptions: list[Interruption] = []

    def interrupt(self, how: str, num_left: int) -> Interruption:
        """Launch the training and interrupt it early enough to leave steps for `num_left` more interruptions.

        Raises:
            RuntimeError: the training failed or ended before.
        """
        launch = Launch(self.flags, self.run_dir, self.processes, self.output)
        faults = []
        try:
            self._wait_for(launch, how, num_left)
            if how in STOPS:
                status = launch.stop(signal.Signals[how])
                if status != STOPPED and not (self.processes > 1 and status):  # torchrun has a status of its own
                    faults.append(f"exit status {status} after {how}, not {STOPPED}")
        finally:
            launch.kill()
        seconds = time.monotonic() - launch.start
        self._note_start(launch)
        steps, began = launch.steps(), launch.began()
        step = steps[-1] if steps else began.step if began else None
        interruption = Interruption(how, seconds, launch.is_saving(), step, faults)
        if len(list(self.run_dir.glob(f".{STATE_FILE}.*"))) > 1:
            faults.append("unfinished states pile up")
        if how in DAMAGES:
            damage(self.run_dir / STATE_FILE, how, self.rng)
        self.interruptions.append(interruption)
        return interruption

    def finish(self) -> None:
        """Launch once more and let the training end.

        Raises:
            RuntimeError: the training failed.
        """
        launch = Launch(self.flags, self.run_dir, self.processes, self.output)
        try:
            while launch.status() is None:
                time.sleep(10 * POLL_S)
        finally:
            launch.kill()
        _require_success(launch)
        self._note_start(launch)

    def _wait_for(self, launch: Launch, how: str, num_left: int) -> None:
        """Until the moment of the interruption."""
        if how == START:
            time.sleep(self.rng.uniform(0, self.expected.start_seconds))
            return
        _until(lambda: launch.began() is not None, launch)
        begun = launch.began().step
        ahead = self.expected.num_steps - begun
        target = begun + 1 + int(2 * self.rng.random() * ahead / (num_left + 2))
        if not self.interruptions:  # before there is any state
            target = self.rng.randint(1, self.every - 1)
        target = min(target, self.expected.num_steps - 1)
        _until(lambda: (launch.steps() or [begun])[-1] >= target, launch)
        if how in DAMAGES:
            states = [self.run_dir / name for name in (STATE_FILE, PREVIOUS_FILE)]
            _until(lambda: all(path.exists() for path in states), launch)
        if how == SAVE:
            _until(launch.is_saving, launch)
            time.sleep(self.rng.uniform(0, self.expected.save_seconds))
        else:
            training_seconds = self.expected.seconds - self.expected.start_seconds
            time.sleep(self.rng.uniform(0, training_seconds / self.expected.num_steps))

    def _note_start(self, launch: Launch) -> None:
        """Record and check where the run went on after the latest interruptions."""
        began = launch.began()
        if began is None:
            return
        pending = [one for one in self.interruptions if one.began is None]
        is_damaged = any(one.how in DAMAGES for one in pending)
        for one in pending:
            one.began = began
            allowed = self.every * (is_damaged + (one.how not in STOPS))  # the state before a damaged one takes over
            if one.lost is not None and not 0 <= one.lost <= allowed:
                one.faults.append(f"{one.lost} steps lost, {allowed} are allowed")
            if is_damaged != (began.source == PREVIOUS_FILE):
                one.faults.append(f"resumed from {began.source}")
            if is_damaged and "warning: " not in launch.text:
                one.faults.append("no warning of a damaged state")


def damage(path: Path, how: str, rng: random.Random) -> None:
    """Truncate a file or flip bits of some of its bytes, at a random place."""
    size = path.stat().st_size
    place = rng.randrange(size // 4, 3 * size // 4)
    with path.open("r+b") as stream:
        if how == "truncated":
            stream.truncate(place)
            return
        stream.seek(place)
        content = stream.read(_FLIPPED)
        stream.seek(place)
        stream.write(bytes(byte ^ rng.randrange(1, 256) for byte in content))


def _until(condition: Callable[[], bool], launch: Launch) -> None:
    """Wait until a launch reaches a condition.

    Raises:
        RuntimeError: it ended before.
    """
    while not condition():
        if launch.status() is not None and not condition():
            raise RuntimeError(f"the training ended with {launch.status()} before its interruption{_tail(launch)}")
        time.sleep(POLL_S)


def _require_success(launch: Launch) -> None:
    if launch.status():
        raise RuntimeError(f"the training failed with {launch.status()}{_tail(launch)}")


def _tail(launch: Launch) -> str:
    return ":\n" + "\n".join(launch.output.read_text().splitlines()[-20:])
