"""A run's folder, its recorded configuration, and the device it uses."""

import json
import shlex
import sys
from pathlib import Path

from utils.files import remove_unfinished, write_text
from utils.processes.collectives import barrier, is_main_process
from utils.run.log import NoLog, RunLog
from utils.run.names import (
    CONFIG_FILE,
    CURVE_FILE,
    DAMAGED_FILE,
    FEATURES_FOLDER,
    METRICS_FILE,
    PREVIOUS_FILE,
    RESULTS_FILE,
    STATE_FILE,
)
from utils.run.provenance import provenance
from utils.run.state import has_state

_PICTURES = (CURVE_FILE, "predictions.npz", "tsne.npz", "part_clouds.npz", "parts.png", "retrieval.png")
# Flags that may differ when a run is resumed: none of them changes what is learned. The data may have moved; that they
# are as many as before is checked by utils.training.loop.
_FREE_ON_RESUME = {
    "exp_name", "output_dir", "resume", "device", "num_workers", "print_freq", "save_freq", "wandb", "data_root",
    "test_batch_size", "overwrite",
    "eval", "json", "packed", "world_size", "backend", "votes", "num_pictures", "save_every_steps", "on_bad_sample",
    "max_bad_rate", "shards",
}  # fmt: skip


def open_run(run_dir: Path, config: dict, *, resume: bool, overwrite: bool = False) -> None:
    """Create the run folder and record its configuration, or check that a resumed run goes on as it began.

    Among several processes all check and the first one writes. A run that was killed before its first state was saved
    can be resumed: it begins.

    Raises:
        ValueError: the folder holds a run and neither `resume` nor `overwrite` is set, both are, or a resumed run
            differs in a flag that changes what is learned.
        FileNotFoundError: nothing to resume.
    """
    if resume and overwrite:
        raise ValueError("--resume continues a run, --overwrite starts it anew: pass one of them")
    record = run_dir / CONFIG_FILE
    if has_state(run_dir) and not resume and not overwrite:
        raise ValueError(
            f"{run_dir} already holds a run; continue it with --resume, choose another --exp_name, or --overwrite it"
        )
    if resume and not has_state(run_dir) and not record.is_file():
        raise FileNotFoundError(f"nothing to resume: no {run_dir / STATE_FILE}; start without --resume")
    if resume:
        check_same(read_config(record)["flags"] if record.is_file() else {}, config, record)
    barrier()  # all have looked before one writes
    if is_main_process():
        _prepare(run_dir, config, resume=resume, overwrite=overwrite)
    barrier()


def _prepare(run_dir: Path, config: dict, *, resume: bool, overwrite: bool) -> None:
    """Make the run folder, rid it of what a kill left unfinished or of the run before, record the configuration."""
    models = run_dir / "models"
    models.mkdir(parents=True, exist_ok=True)
    RunLog(run_dir).close()  # is refused where another training writes
    remove_unfinished(run_dir, STATE_FILE, PREVIOUS_FILE, CONFIG_FILE, RESULTS_FILE, *_PICTURES)
    remove_unfinished(models, "*.pth")
    if resume:
        return
    if overwrite:
        names = (STATE_FILE, PREVIOUS_FILE, DAMAGED_FILE, METRICS_FILE, RESULTS_FILE, *_PICTURES)
        written = [*run_dir.glob("nonfinite*.pt"), *models.glob("*.pth"), *(run_dir / FEATURES_FOLDER).glob("*.npy")]
        for stale in [*(run_dir / name for name in names), *written]:
            stale.unlink(missing_ok=True)
    _write_config(run_dir / CONFIG_FILE, {**_session(), "flags": config})


def open_log(run_dir: Path, **options) -> RunLog | NoLog:
    """The run's log, in the first process; the others keep silent. Options are RunLog's."""
    return RunLog(run_dir, **options) if is_main_process() else NoLog()


def add_session(run_dir: Path, config: dict) -> None:
    """Record that the run was continued: with which command, by which commit, on which machine."""
    path = run_dir / CONFIG_FILE
    record = read_config(path) if path.is_file() else {**_session(), "flags": config}
    _write_config(path, record | {"sessions": [*record.get("sessions", []), _session()]})


def check_same(before: dict, now: dict, path: Path) -> None:
    """Compare the flags of a run, recorded in `path`, with those it is to be continued with.

    Raises:
        ValueError: one that changes what is learned differs.
    """
    kinds = [next((name for name in ("shards", "packed") if flags.get(name)), "data_root") for flags in (before, now)]
    if before and "shards" in kinds and kinds[0] != kinds[1]:
        raise ValueError(
            f"cannot resume on other data than {path}: --{kinds[0]} then, --{kinds[1]} now; shards have another order"
        )
    changed = [key for key in before.keys() & now.keys() - _FREE_ON_RESUME if before[key] != now[key]]
    if changed:
        difference = ", ".join(f"--{key} was {before[key]}, now {now[key]}" for key in sorted(changed))
        raise ValueError(f"cannot resume with other settings than {path}: {difference}")


def _session() -> dict[str, str]:
    return {"command": shlex.join(sys.argv), **provenance()}


def read_config(path: Path) -> dict:
    """What a run recorded of itself: its command, flags, commit and machine, and each later session's.

    Raises:
        ValueError: damaged.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["flags"].keys()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it: {STATE_FILE} knows the settings too") from error
    return record


def _write_config(path: Path, record: dict) -> None:
    write_text(path, json.dumps(record, indent=2) + "\n")
