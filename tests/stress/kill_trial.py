"""A training that is interrupted again and again, and what each interruption costs."""

import random
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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


def train_uninterrupted(launch: Launch) -> Uninterrupted:
    """Run the training that the interrupted one is compared with.

    Raises:
        RuntimeError: the training failed.
    """
    started, saving, saves = 0.0, 0.0, []
    with launch:
        while launch.status() is None:
            now = time.monotonic()
            started = started or (now if launch.steps() else 0.0)
            if launch.is_saving():
                saving = saving or now
            elif saving:
                saves.append(now - saving)
                saving = 0.0
            time.sleep(POLL_S)
        launch.require_success()
    seconds = time.monotonic() - launch.start
    return Uninterrupted(launch.steps()[-1], seconds, started - launch.start, statistics.median(saves))


@dataclass
class Trial:
    """A run that is interrupted launch by launch."""

    launch: Callable[[], Launch]  # of the training with --save_every_steps
    run_dir: Path
    every: int  # value of that flag: the number of steps that a kill may cost
    expected: Uninterrupted  # the same run without interruptions
    rng: random.Random
    interruptions: list[Interruption] = field(default_factory=list)

    def interrupt(self, how: str, num_left: int) -> Interruption:
        """Launch the training and interrupt it early enough to leave steps for `num_left` more interruptions.

        Raises:
            RuntimeError: the training failed or ended before.
        """
        faults = []
        with self.launch() as launch:
            self._wait_for(launch, how, num_left)
            if how in STOPS:
                status = launch.stop(signal.Signals[how])
                if status != STOPPED and not (launch.processes > 1 and status):  # torchrun has a status of its own
                    faults.append(f"exit status {status} after {how}, not {STOPPED}")
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
        with self.launch() as launch:
            launch.require_success()
        self._note_start(launch)

    def _wait_for(self, launch: Launch, how: str, num_left: int) -> None:
        """Until the moment of the interruption."""
        if how == START:
            time.sleep(self.rng.uniform(0, self.expected.start_seconds))
            return
        launch.until(lambda: launch.began() is not None)
        begun = launch.began().step
        ahead = self.expected.num_steps - begun
        target = begun + 1 + int(2 * self.rng.random() * ahead / (num_left + 2))
        if not self.interruptions:  # before there is any state
            target = self.rng.randint(1, self.every - 1)
        target = min(target, self.expected.num_steps - 1)
        launch.until(lambda: (launch.steps() or [begun])[-1] >= target)
        if how in DAMAGES:
            states = [self.run_dir / name for name in (STATE_FILE, PREVIOUS_FILE)]
            launch.until(lambda: all(path.exists() for path in states))
        if how == SAVE:
            launch.until(launch.is_saving)
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
