"""The folder of a run: claimed by one training at a time, its settings recorded, checked when the run is resumed."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from utils.files import remove_unfinished, write_text
from utils.output_files import check_output_folder
from utils.processes.collectives import barrier, gather_objects, is_main_process
from utils.run.log import NoLog, RunLog
from utils.run.names import (
    CONFIG_FILE,
    MODELS_FOLDER,
    PICTURES,
    PREVIOUS_FILE,
    REPLACED_FOLDER,
    RESULTS_FILE,
    STATE_FILE,
)
from utils.run.provenance import provenance
from utils.run.replaced import discard, is_unsettled, put_back, set_aside
from utils.run.state import has_state
from utils.settings import Record, Settings, flag


@dataclass(frozen=True)
class RunSettings(Settings):
    """Which folder a training writes, below output_dir, and whether it begins or continues there."""

    exp_name: str = flag("exp", "run folder: <output_dir>/<exp_name>", is_free=True)
    output_dir: str = flag("checkpoints", "folder of the run folders", is_free=True)
    resume: bool = flag(False, "continue <exp_name> from its last state", is_free=True)
    overwrite: bool = flag(False, "start anew in a folder that holds a run", is_free=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        name = PurePath(self.exp_name)
        if not name.parts or name.is_absolute() or ".." in name.parts:
            raise ValueError(
                f"--exp_name must name a folder below --output_dir {self.output_dir}, got {self.exp_name!r}: pass a "
                "name that is neither empty nor . nor absolute, without a part .., and another folder as --output_dir"
            )

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.output_dir) / self.exp_name


class Run(NamedTuple):
    """An open run: its folder, what config.json and every state record of its settings, and where it reports."""

    folder: Path
    record: Record
    log: RunLog | NoLog


@contextmanager
def open_run(settings: RunSettings, record: Record, *, wandb: str = "off") -> Iterator[Run]:
    """Claim the run folder, record the settings or check them against those recorded, and open the log.

    Every rank checks, the main process writes, and only its log reports. A run that was killed before its first state
    was saved can be resumed: it begins. One that `overwrite` replaces is kept until then, and is back where the new one
    ends by an error before.

    Args:
        wandb: mode of Weights & Biases, see RunLog.
    Raises:
        ValueError: the folder is a file, the folder holds a run and neither `resume` nor `overwrite` is set, both are
            set, another training writes there, or a resumed run differs in a flag that changes what is learned.
        FileNotFoundError: nothing to resume.
        KeyboardInterrupt: as it came, with words on resuming where there is a state.
    """
    folder = settings.folder
    if is_main_process():
        _settle(settings)
    barrier()
    _check_start(settings, record)
    barrier()  # nobody writes before everybody has looked
    if is_main_process():
        _prepare(settings, record)
    barrier()
    name = settings.exp_name
    log = RunLog(folder, wandb_mode=wandb, name=name, config=record.flags) if is_main_process() else NoLog()
    try:
        yield Run(folder, record, log)
    except BaseException as error:
        has_begun = has_state(folder)
        if is_main_process() and put_back(folder):
            log.line(f"{folder} holds the run before again: the new one ended before its first state")
        if has_begun and isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"--resume continues {folder}") from error
        raise
    else:
        if is_main_process():
            discard(folder)
    finally:
        log.close()


def _settle(settings: RunSettings) -> None:
    """Bring a folder in order in which a run was killed while it replaced another.

    The run before is back, unless the new one has a state, or --resume asks for it and it has begun.
    """
    folder = settings.folder
    if not is_unsettled(folder):
        return
    with closing(RunLog(folder)):  # refuses a folder in which another training writes
        is_asked_for = settings.resume and (folder / CONFIG_FILE).is_file() and (folder / REPLACED_FOLDER).is_dir()
        if not is_asked_for or has_state(folder):
            put_back(folder)


def _check_start(settings: RunSettings, record: Record) -> None:
    folder, config = settings.folder, settings.folder / CONFIG_FILE
    check_output_folder("--output_dir", Path(settings.output_dir))
    check_output_folder("--exp_name", folder)
    if settings.resume and settings.overwrite:
        raise ValueError("--resume continues a run, --overwrite starts it anew: pass one of them")
    if has_state(folder) and not settings.resume and not settings.overwrite:
        raise ValueError(
            f"{folder} already holds a run; continue it with --resume, choose another --exp_name, or --overwrite it"
        )
    if settings.resume and not has_state(folder) and not config.is_file():
        raise FileNotFoundError(f"nothing to resume: no {folder / STATE_FILE}; start without --resume")
    if settings.resume and config.is_file():
        recorded = read_config(config)
        _check_program(recorded, record, config)
        check_same(recorded["flags"], record, config)


def _check_program(recorded: dict[str, Any], now: Record, path: Path) -> None:
    """Refuse to continue what another program began, which had flags that this one does not know."""
    began, own = (Path(words[0]).stem for words in (shlex.split(recorded.get("command", "")) or [""], sys.argv))
    if began != own and recorded["flags"].keys() - now.flags.keys():
        raise ValueError(f"{path} is of a run of {began}, this is {own}: choose another --exp_name")


def _prepare(settings: RunSettings, record: Record) -> None:
    """Make the folder, remove what a kill left unfinished, set aside what is overwritten, and record the settings."""
    folder, models = settings.folder, settings.folder / MODELS_FOLDER
    models.mkdir(parents=True, exist_ok=True)
    with closing(RunLog(folder)):  # refuses a folder in which another training writes
        remove_unfinished(folder, STATE_FILE, PREVIOUS_FILE, CONFIG_FILE, RESULTS_FILE, *PICTURES)
        remove_unfinished(models, "*.pth")
        if settings.resume:
            return
        try:
            if settings.overwrite:
                set_aside(folder)
            _write_config(folder / CONFIG_FILE, {**_session(), "flags": record.flags})
        except BaseException:
            put_back(folder)
            raise


def goes_on(settings: RunSettings) -> bool:
    """Return whether a training goes on from a state of its folder, the same on every rank, all of which must ask.

    Only then do weights to start from play no part: --resume alone also continues a run that was killed before its
    first state, and that begins.
    """
    return settings.resume and any(gather_objects(has_state(settings.folder)))


def add_session(run: Run) -> None:
    """Record that the run was continued: by which command and commit, on which machine."""
    path = run.folder / CONFIG_FILE
    config = read_config(path) if path.is_file() else {**_session(), "flags": run.record.flags}
    _write_config(path, config | {"sessions": [*config.get("sessions", []), _session()]})


def check_same(before: dict[str, Any], now: Record, path: Path) -> None:
    """Compare the flags of a run, recorded in `path`, with those it is to be continued with.

    Raises:
        ValueError: one that changes what is learned differs.
    """
    kinds = [_kind_of_data(flags) for flags in (before, now.flags)]
    if before and "shards" in kinds and kinds[0] != kinds[1]:
        raise ValueError(
            f"cannot resume on other data than {path}: --{kinds[0]} then, --{kinds[1]} now; shards have another order"
        )
    shared = before.keys() & now.flags.keys() - now.free
    changed = sorted(name for name in shared if before[name] != now.flags[name])
    if changed:
        difference = ", ".join(f"--{name} was {before[name]}, now {now.flags[name]}" for name in changed)
        raise ValueError(f"cannot resume with other settings than {path}: {difference}")


def _kind_of_data(flags: dict[str, Any]) -> str:
    return next((name for name in ("shards", "packed") if flags.get(name)), "data_root")


def _session() -> dict[str, str]:
    return {"command": shlex.join(sys.argv), **provenance()}


def read_config(path: Path) -> dict[str, Any]:
    """Read what a run recorded of itself: its command, flags, commit and machine, and those of each later session.

    Raises:
        ValueError: damaged.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        config["flags"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it: {STATE_FILE} knows the settings too") from error
    return config


def _write_config(path: Path, config: dict[str, Any]) -> None:
    write_text(path, json.dumps(config, indent=2) + "\n")
