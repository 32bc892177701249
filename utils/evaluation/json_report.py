"""Results of evaluation programs: lines for people and grep, and a JSON file."""

import json
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from utils.evaluation.protocol_score import Score
from utils.files import write_text
from utils.run.provenance import provenance

_LIBRARIES = ("numpy", "scikit-learn")
_FIGURES = (
    *("miou", "miou_instance", "miou_class", "accuracy", "accuracy_std", "accuracy_ci95", "mean_class_accuracy"),
    *("top5_accuracy", "recall_1", "recall_5", "recall_10", "map", "precision_1", "precision_10", "chance"),
    "average_recall",
)


def make_record(result: Score, *, dataset: str, split: str, **constants: Any) -> dict[str, Any]:
    """Make one object of a report's `results`: task, protocol, dataset, split, accuracies, then every constant.

    Args:
        constants: JSON values of the features and of the data; the protocol's own are in `result`.
    """
    return {
        "task": result.task,
        "protocol": result.protocol,
        "dataset": dataset,
        "split": split,
        "accuracy": result.accuracy,
        "mean_class_accuracy": result.mean_class_accuracy,
        **result.constants,
        **constants,
    }


def result_line(record: dict[str, Any]) -> str:
    """Format a record as one line of key=value pairs that starts with the word `result`."""
    keys = ("task", "protocol", "dataset", "variant", "split", "c", "k_way", "m_shot", "n_query", "n_runs")
    keys += ("folds", "label_fraction", "frozen", "voting", "copies", "layers", "whiten")
    pairs = [f"{key}={record[key]}" for key in keys if record.get(key) is not None]
    figures = [f"{key}={record[key]:.4f}" for key in _FIGURES if record.get(key) is not None]
    return " ".join(["result", *pairs, *figures])


def constants_line(result: Score) -> str:
    """Format the protocol and all its constants as one line."""
    return f"{result.protocol}: " + ", ".join(f"{key} {_short(value)}" for key, value in result.constants.items())


def _short(value: Any) -> str:
    return "[" + " ".join(f"{item:g}" for item in value) + "]" if isinstance(value, list) else str(value)


def write_report(path: str | Path | None, results: list[dict[str, Any]]) -> None:
    """Write {commit, machine, versions, command, results} atomically as JSON.

    Args:
        path: of the file; an empty one asks for none.
        results: objects as `make_record` makes them; NaN, which JSON does not have, is refused.
    """
    if not path:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    origin = provenance()
    versions = {name: origin.pop(name) for name in ("python", "torch")} | {name: version(name) for name in _LIBRARIES}
    report = {**origin, "versions": versions, "command": shlex.join(sys.orig_argv), "results": results}
    write_text(Path(path), json.dumps(report, indent=2, allow_nan=False) + "\n")
