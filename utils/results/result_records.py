"""Records of evaluations: rows of figures from the JSON reports, and the CSV that keeps them."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from utils.csv_rows import Row, read_rows
from utils.multiview.image_teacher import NO_LABELS, TEACHER_LABELS
from utils.results.seed_means import SeedFigure
from utils.results.tasks import CONDITIONS, TASKS, figures_of, fixed_c, setting_of
from utils.run.folder import read_config
from utils.run.names import CONFIG_FILE, METRICS_FILE

# date: UTC day of the evaluation. run, data: names given when recorded, such as "quickstart" and "built-in"; the
# name ends in "(ImageNet labels)" where labels, here ImageNet's, have entered by an image teacher.
# setting: what belongs to one task alone, in words. encoder: random or pretrained. hours: of the pre-training.
# seed, eval_seed: of pre-training or of the random weights, and of evaluation; see utils/results/seed_means.py.
# machine, commit, command: of the evaluation. train_machine, train_commit, train_command: of the pre-training.
COLUMNS = (
    *("date", "run", "data", "dataset", "variant", "split", "task", "protocol", "setting", "encoder", "seed"),
    *("eval_seed", "metric", "value", "c", "model", "k", "num_points", "normalize"),
    *("num_train", "num_test", "num_classes", "machine", "commit", "hours", "checkpoint", "sha256", "command"),
    *("train_command", "train_commit", "train_machine"),
)
_LABELS = " labels)"  # ends the name of a pre-training whose image teacher had learned from labels
_GROUP = ("run", "data", *CONDITIONS, "setting", "metric")


def read_report(path: Path, *, run: str = "", data: str = "") -> list[Row]:
    """Read a JSON report of an evaluation program into rows, one for each figure of each record.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not such a report.
    """
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        origin = {"run": run, "machine": report["machine"], "commit": report["commit"]}
        origin |= {"data": data} if data else {}
        origin |= {"command": report["command"], "date": f"{_day(path)}"}
        return [row for record in report["results"] for row in _rows(record, origin)]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is no report of an evaluation program ({type(error).__name__}: {error}); make it again with --json"
        ) from error


def _rows(record: Row, origin: Row) -> list[Row]:
    row = {name: _text(record.get(name)) for name in COLUMNS} | {name: _text(value) for name, value in origin.items()}
    row["setting"], row["eval_seed"] = setting_of(record), _text(record.get("seed"))
    row["encoder"] = {"random": "random", "checkpoint": "pretrained"}[record["weights"]]
    row["sha256"] = _text(record["checkpoint_sha256"])
    if row["encoder"] == "pretrained":
        trained = training_record(Path(record["checkpoint"]))
        row |= trained | {"run": f"{row['run']} {trained.get('run', '')}".strip()}
    return [row | {"metric": name, "value": f"{value:.6f}"} for name, value in figures_of(record).items()]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _day(path: Path) -> str:
    return datetime.fromtimestamp(os.stat(path).st_mtime, UTC).date().isoformat()


def training_record(checkpoint: Path) -> Row:
    """Return what the run that made a checkpoint recorded about itself; nothing if there is no config.json.

    Where its image teacher had learned from labels, "run" is what the name of the pre-training is to end in.

    Args:
        checkpoint: <run>/models/<file> or <run>/last.pt.
    Raises:
        ValueError: the run's config.json or metrics.jsonl is damaged.
    """
    found = [folder for folder in (checkpoint.parent, checkpoint.parent.parent) if (folder / CONFIG_FILE).is_file()]
    if not found:
        return {}
    try:
        config = read_config(found[0] / CONFIG_FILE)
        sessions = [config, *config.get("sessions", [])]
        row = {"train_command": config["command"], "seed": _text(config["flags"]["seed"])}
        labels = config["flags"].get(TEACHER_LABELS, NO_LABELS)
        row |= {} if labels == NO_LABELS else {"run": f"({labels}{_LABELS}"}
        row |= {f"train_{name}": ", ".join(dict.fromkeys(s[name] for s in sessions)) for name in ("commit", "machine")}
        metrics = found[0] / METRICS_FILE
        lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
        hours = json.loads(lines[-1]).get("hours") if lines else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the records in {found[0]} are damaged ({type(error).__name__}: {error})") from error
    return row if hours is None else row | {"hours": f"{hours:.2f}"}


def read_csv(path: Path) -> list[Row]:
    """Read the CSV of records, all values as text.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the columns are not COLUMNS, a task is unknown, or a figure is not a number in [0, 1].
    """
    rows = read_rows(path, COLUMNS)
    for number, row in enumerate(rows, start=2):
        try:
            is_share = 0 <= float(row["value"]) <= 1
        except ValueError:
            is_share = False
        if not is_share or row["task"] not in TASKS:
            raise ValueError(
                f"{path} record {number}: expected a figure from 0 to 1 of one of {', '.join(TASKS)}, "
                f"got {row['value']!r} of {row['task']!r}"
            )
    return rows


def merge(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Append `new` to `old`; a repeated measurement (same group, encoder and seeds) replaces the older one.

    Raises:
        ValueError: two checkpoints in `new` cannot be told apart.
    """
    fresh: dict[tuple[str, ...], Row] = {}
    for row in new:
        other = fresh.setdefault(_key(row), row)
        if other["sha256"] != row["sha256"]:
            raise ValueError(
                f"{other['checkpoint']} and {row['checkpoint']} are different checkpoints of seed {row['seed']}: no "
                "table can tell them apart; pass them in two calls, with --append under two names of --run"
            )
        fresh[_key(row)] = row
    return [row for row in old if _key(row) not in fresh] + list(fresh.values())


def _key(row: Row) -> tuple[str, ...]:
    # The seed of a checkpoint without a record of its training is unknown: only its content distinguishes it.
    digest = "" if row["train_command"] else row["sha256"]
    return (*group_of(row), row["encoder"], row["seed"], row["eval_seed"], digest)


def group_of(row: Row) -> tuple[str, ...]:
    """Return what rows must share to be averaged over seeds, and a random and a pre-trained figure to be compared."""
    return (*(row[name] for name in _GROUP), fixed_c(row) or "")


def random_group(group: tuple[str, ...]) -> tuple[str, ...]:
    """Return the group that has the random encoders of a group: teacher and labels play no part in those."""
    run, *rest = group
    return (run.rpartition("(")[0].strip() if run.endswith(_LABELS) else run, *rest)


def percent_of(row: Row) -> SeedFigure:
    """Return the figure of a row in percent, with its encoder and its seed of evaluation."""
    return SeedFigure((row["seed"], row["sha256"]), row["eval_seed"], 100 * float(row["value"]))
