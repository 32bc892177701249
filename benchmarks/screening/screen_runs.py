"""The trainings of a screen: the length that fills the minutes of a setting, and its runs of that length.

Kept below one folder: `probes/NAME.json`, the time of an epoch; `runs/NAME_seedS/`, a training. A measurement that is
there is not made again, and a training goes on from its last state.
"""

import json
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.screening.screen_config import Screen, Setting
from utils.cli import STOPPED
from utils.files import write_text
from utils.processes.stop import Stopped, StopRequest
from utils.run.epoch_metrics import read_metrics
from utils.run.names import CONFIG_FILE
from utils.run.state import has_state

Record = dict[str, Any]
Report = Callable[[str], None]


class Spent(NamedTuple):
    """Seconds that a program took: of the clock, and of processors, its own processes' together."""

    wall: float
    cpu: float


def run_program(program: str, words: list[str]) -> Spent:
    """Run a program of this project to its end; a signal to stop is passed on to it.

    Raises:
        Stopped: it was told to stop, and has saved its state.
        ValueError: it failed; its own message stands before this one.
    """
    start, before = time.monotonic(), _cpu_of_children()
    with StopRequest() as request:
        process = subprocess.Popen([sys.executable, "-m", program, *words])
        is_told = False
        while process.poll() is None:
            if request.signal_name and not is_told:
                process.terminate()
                is_told = True
            try:
                process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
    if process.returncode == STOPPED or request.signal_name:
        raise Stopped
    if process.returncode:
        raise ValueError(f"exit status {process.returncode} of: python -m {shlex.join([program, *words])}")
    return Spent(time.monotonic() - start, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def num_epochs(screen: Screen, setting: Setting, folder: Path, report: Report) -> int:
    """Return how many epochs of a setting fill the screen's minutes, by the time that one takes alone; measured once.

    The learning rate then falls over the whole training as in any other of that length.

    Raises:
        ValueError: one epoch already takes longer, or the kept measurement is of other flags.
    """
    path = folder / "probes" / f"{setting.name}.json"
    asked = {"program": setting.program, "flags": setting.flags, "clock": screen.clock}
    found = read_kept(path, asked)
    if found is None:
        run = path.with_suffix("")
        words = [*setting.flags, "--epochs", "1", "--seed", str(setting.seeds[0]), "--overwrite"]
        spent = run_program(setting.program, [*words, *_place(run)])
        seconds = 3600 * read_metrics(run)[-1]["hours"]
        if screen.clock == "cpu":
            seconds *= spent.cpu / spent.wall  # of the epoch as of the whole program
        found = {"asked": asked, "seconds_per_epoch": seconds}
        write_text(path, json.dumps(found, indent=2) + "\n")
        shutil.rmtree(run)
    epochs = round(60 * screen.minutes / found["seconds_per_epoch"])
    report(f"{setting.name}: {found['seconds_per_epoch']:.1f} s an epoch ({screen.clock}), {epochs} epochs")
    if epochs < 1:
        raise ValueError(f"an epoch of {setting.name} takes more than {screen.minutes:g} minutes: give more")
    return epochs


def train(setting: Setting, seed: int, epochs: int, folder: Path) -> Record:
    """Train to the end, from where an interruption left it; return what records say of its length.

    "train_minutes" are those of its epochs, over all sessions; "train_cpu_minutes" those of the whole program, None
    where it went on after an interruption.
    """
    run = run_folder(folder, setting, seed)
    goes_on = has_state(run) or (run / CONFIG_FILE).is_file()
    words = [*setting.flags, "--epochs", str(epochs), "--seed", str(seed), *(["--resume"] if goes_on else [])]
    spent = run_program(setting.program, [*words, *_place(run)])
    return {
        "train_epochs": epochs,
        "train_minutes": 60 * read_metrics(run)[-1]["hours"],
        "train_cpu_minutes": None if goes_on else spent.cpu / 60,
    }


def _place(run: Path) -> list[str]:
    """Return the flags that name a run's folder and keep the program from the labelled data."""
    return ["--exp_name", run.name, "--output_dir", str(run.parent), "--eval_freq", "0"]


def run_folder(folder: Path, setting: Setting, seed: int) -> Path:
    """Return the folder of a training."""
    return folder / "runs" / f"{setting.name}_seed{seed}"


def read_kept(path: Path, asked: Record) -> Record | None:
    """Read what an earlier session of the screen has kept; None where there is nothing.

    Args:
        path: of an object with an entry "asked", or of a report whose results have it.
        asked: what it must have been made with.
    Raises:
        ValueError: it was made with something else, or is damaged.
    """
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        before = kept["asked"] if "asked" in kept else kept["results"][0]["asked"]
        differing = [name for name in asked if before.get(name) != asked[name]]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it") from error
    if differing:
        name = differing[0]
        raise ValueError(
            f"{path} was made with {name} {before.get(name)!r}, now {asked[name]!r} is asked for: give the setting "
            "another name, or pass another --out; nothing kept is overwritten"
        )
    return kept
