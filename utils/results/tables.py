"""Records of evaluations: rows from the JSON reports, the CSV that keeps them, their mean and deviation as a table."""

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path
from statistics import mean, stdev, variance
from typing import Any

from utils import markdown
from utils.csv_rows import Row, read_rows
from utils.results.tasks import FIGURE_NAMES, TASKS, figures_of, protocol_name, setting_of
from utils.run.folder import read_config
from utils.run.names import CONFIG_FILE, METRICS_FILE

# date: UTC day of the evaluation. run, data: names given when recorded, such as "quickstart" and "built-in".
# setting: what belongs to one task alone, in words. encoder: random or pretrained.
# seed: of the weights or of the pre-training. eval_seed: of what is drawn in the evaluation. hours: of pre-training.
# machine, commit, command: of the evaluation. train_machine, train_commit, train_command: of the pre-training.
COLUMNS = (
    *("date", "run", "data", "dataset", "variant", "split", "task", "protocol", "setting", "encoder", "seed"),
    *("eval_seed", "metric", "value", "c", "model", "k", "num_points", "normalize"),
    *("num_train", "num_test", "num_classes", "machine", "commit", "hours", "checkpoint", "sha256", "command"),
    *("train_command", "train_commit", "train_machine"),
)
_GROUP = (
    *("run", "data", "dataset", "variant", "split", "model", "k", "num_points", "normalize", "task", "protocol"),
    *("setting", "metric"),
)


def read_report(path: Path, *, run: str = "", data: str = "") -> list[Row]:
    """Rows of one JSON report of an evaluation program, one for each figure of each record.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a report.
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
        row |= training_record(Path(record["checkpoint"]))
    return [row | {"metric": name, "value": f"{value:.6f}"} for name, value in figures_of(record).items()]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _day(path: Path) -> str:
    return datetime.fromtimestamp(os.stat(path).st_mtime, UTC).date().isoformat()


def training_record(checkpoint: Path) -> Row:
    """What the run that a checkpoint came from recorded of itself; nothing where its config.json is not found.

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
        row |= {f"train_{name}": ", ".join(dict.fromkeys(s[name] for s in sessions)) for name in ("commit", "machine")}
        metrics = found[0] / METRICS_FILE
        lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
        hours = json.loads(lines[-1]).get("hours") if lines else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the records in {found[0]} are damaged ({type(error).__name__}: {error})") from error
    return row if hours is None else row | {"hours": f"{hours:.2f}"}


def read_csv(path: Path) -> list[Row]:
    """Rows of the CSV of records, all values as text.

    Raises:
        FileNotFoundError: no such file.
        ValueError: other columns than COLUMNS, an unknown task, or a figure that is no number in [0, 1].
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
    """`old` followed by `new`; a measurement made again (same group, encoder and seed) replaces the older one.

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
    # Without a record of its training, a checkpoint's seed is not known: only its content tells it from others.
    digest = "" if row["train_command"] else row["sha256"]
    return (*group_of(row), row["encoder"], row["seed"], row["eval_seed"], digest)


def group_of(row: Row) -> tuple[str, ...]:
    """What a random and a pre-trained figure must share to be compared, and the seeds of a mean too."""
    fixed_c = row["c"] if row["protocol"] == "published" else ""  # the fair protocol chooses its C each time
    return (*(row[name] for name in _GROUP), fixed_c)


def results_table(rows: Sequence[Row]) -> str:
    """Markdown: one line for each test set, protocol and figure, random and pre-trained encoder in percent.

    Mean over seeds, with the sample standard deviation where there are several, and the gain with its standard error.
    """
    rows = [row for row in rows if row["metric"] in TASKS[row["task"]].shown]
    named = any(row["run"] for row in rows)
    header = [*(["pre-training", "data"] if named else []), "test set", "encoder", "task and protocol", "figure"]
    header += ["random (%)", "pre-trained (%)", "gain", "seeds"]
    lines = []
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(rows, key=_place):
        groups.setdefault(group_of(row), []).append(row)
    for group in groups.values():
        cells = [group[0]["run"], group[0]["data"]] if named else []
        lines.append([*cells, *_describe(group[0]), *_figures(group)])
    return markdown.table(header, lines)


def _place(row: Row) -> tuple[str | int, ...]:
    """Order in the tables: what belongs together stands together, tasks, protocols and figures as in TASKS."""
    task = TASKS[row["task"]]
    protocols, names = list(task.names), ("run", "data", "dataset", "variant")
    protocol = protocols.index(row["protocol"]) if row["protocol"] in protocols else len(protocols)
    numbers = (list(TASKS).index(row["task"]), int(row["num_points"] or 0), protocol)
    return (*(row[name] for name in names), *numbers, row["setting"], task.figures.index(row["metric"]))


def _describe(row: Row) -> list[str]:
    dataset = row["dataset"] + (f" {row['variant']}" if row["variant"] else "")
    if row["normalize"] == "True":
        dataset += ", normalised"
    return [dataset, f"{row['model']}, {row['num_points']} points", protocol_name(row), FIGURE_NAMES[row["metric"]]]


def _figures(group: Sequence[Row]) -> list[str]:
    """Cells random, pre-trained, gain, seeds: one number, or "of random / of pre-trained" where they differ."""
    sides = [[row for row in group if row["encoder"] == name] for name in ("random", "pretrained")]
    random, pretrained = ([100 * float(row["value"]) for row in side] for side in sides)
    gain = f"{mean(pretrained) - mean(random):+.1f}" if random and pretrained else "-"
    if min(len(random), len(pretrained)) > 1:
        gain += f" ± {_standard_error(*sides):.1f}"
    counts = {str(len(values)): None for values in (random, pretrained) if values}
    return [mean_and_deviation(random), mean_and_deviation(pretrained), gain, " / ".join(counts)]


def _standard_error(random: Sequence[Row], pretrained: Sequence[Row]) -> float:
    """Of the mean gain, in percent: of pairs where both sides were evaluated with the same seeds, each once.

    Such a pair has the same episodes, or the same labels, order and head, so that what these do to both drops out.
    """
    by_seed = [{row["eval_seed"]: 100 * float(row["value"]) for row in side} for side in (random, pretrained)]
    if by_seed[0].keys() == by_seed[1].keys() and len(by_seed[0]) == len(random) == len(pretrained):
        return stdev(by_seed[1][seed] - value for seed, value in by_seed[0].items()) / sqrt(len(random))
    spreads = (variance(100 * float(row["value"]) for row in side) / len(side) for side in (random, pretrained))
    return sqrt(sum(spreads))


def mean_and_deviation(values: Sequence[float]) -> str:
    """Mean with one digit, and the sample standard deviation of several values; "-" of none."""
    if not values:
        return "-"
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def runs_table(rows: Sequence[Row]) -> str:
    """Markdown: one line for each pre-trained checkpoint: what made it, where, in how long."""
    header = ["pre-training", "seed", "machine", "hours", "commit", "checkpoint sha256", "command"]
    lines = {}
    for row in sorted(rows, key=lambda row: (row["run"], row["seed"])):
        if row["encoder"] == "pretrained":
            command = f"`{row['train_command']}`" if row["train_command"] else "-"
            digest = f"`{row['sha256'][:12]}…`"
            commit = row["train_commit"] or "-"
            cells = (row["run"], row["seed"], row["train_machine"] or "-", row["hours"] or "-", commit, digest, command)
            lines[row["run"], row["sha256"]] = cells
    return markdown.table(header, lines.values())
