"""Records of all tasks as tables: one row for each setting and figure, the random encoder beside each run's."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

from utils.classification.recipes import changes
from utils.page.page_sections import round_figure
from utils.results.tasks import FIGURE_NAMES, TASKS

Record = Mapping[str, Any]
RANDOM = "random"
# What two figures must share to stand in one row; of the seeds of a row, the mean is shown.
_SETTING = (
    *("task", "dataset", "variant", "k_way", "m_shot", "n_query", "n_runs", "label_fraction", "frozen", "voting"),
    *("protocol", "split", "model", "k", "num_points", "normalize", "num_train", "num_test", "num_classes"),
    *("num_shapes", "num_queries", "num_gallery", "num_copies", "chance"),
)


class Measurement(NamedTuple):
    """One record and the column it stands in: the run's name, or RANDOM."""

    column: str
    record: Record


def results_tables(runs: Mapping[str, Sequence[Record]]) -> dict[str, Any]:
    """`columns`, and of each task its `title` and `rows`, as the page's script reads them.

    Args:
        runs: name of a run -> its reports, each with a list `results`. A record whose `weights` are "random" goes to
            the column RANDOM, whichever run it came with; any other to its run's column.
    """
    measured = [
        Measurement(RANDOM if record.get("weights") == RANDOM else name, record)
        for name, reports in runs.items()
        for report in reports
        for record in report["results"]
    ]
    present = {measurement.column for measurement in measured}
    columns = [name for name in (RANDOM, *runs) if name in present]
    by_task: dict[str, dict[tuple, list[Measurement]]] = {}
    for measurement in measured:
        record = measurement.record
        by_task.setdefault(record["task"], {}).setdefault(_setting(record), []).append(measurement)
    known = [task for task in TASKS if task in by_task]
    return {
        "columns": columns,
        "tasks": [
            {
                "title": TASKS[task].title if task in TASKS else task.replace("_", " "),
                "rows": [_row(group, columns) for _, group in sorted(by_task[task].items(), key=_place)],
            }
            for task in [*known, *sorted(by_task.keys() - TASKS.keys())]
        ],
    }


def _setting(record: Record) -> tuple:
    # The fair SVM chooses its C each time; in the published protocol it is part of the setting.
    fixed_c = record.get("c") if record.get("protocol") == "published" else None
    return (*(record.get(name) for name in _SETTING), fixed_c, *changes(record))


def _place(item: tuple[tuple, list[Measurement]]) -> list[tuple[bool, bool, Any]]:
    """Sorting key for tuples in which text, numbers and None stand in one place: None first, text after numbers."""
    return [(value is not None, isinstance(value, str), 0 if value is None else value) for value in item[0]]


def _row(group: Sequence[Measurement], columns: Sequence[str]) -> dict[str, Any]:
    record = group[0].record
    by_column = {column: _distinct(m.record for m in group if m.column == column) for column in columns}
    figures = [name for name in FIGURE_NAMES if any(_is_number(m.record.get(name)) for m in group)]
    chance = record.get("chance")
    return {
        "title": title(record),
        "detail": detail(record),
        "chance": round_figure(chance) if _is_number(chance) else None,
        "figures": [
            {"name": FIGURE_NAMES[name], "cells": [_cell(by_column[column], name) for column in columns]}
            for name in figures
        ],
        "categories": _categories(by_column, columns),
    }


def _distinct(records: Iterable[Record]) -> list[Record]:
    """Each record once: the random encoder of a seed comes with every run that was compared with it."""
    keys = ("seed", "encoder_seed", "checkpoint_sha256", *FIGURE_NAMES)
    return list({tuple(record.get(key) for key in keys): record for record in records}.values())


def _cell(records: Sequence[Record], name: str) -> dict[str, Any] | None:
    """Mean and spread: of several records the sample standard deviation, of a single few-shot one its own."""
    values = [record[name] for record in records if _is_number(record.get(name))]
    if not values:
        return None
    spread, source = (stdev(values), f"{len(values)} seeds") if len(values) > 1 else (None, "")
    own = records[0].get(f"{name}_std")
    if spread is None and _is_number(own):
        spread, source = own, f"{records[0].get('n_runs', '')} episodes".strip()
    return {
        "mean": round_figure(mean(values)),
        "spread": None if spread is None else round_figure(spread),
        "source": source,
    }


def _categories(by_column: Mapping[str, Sequence[Record]], columns: Sequence[str]) -> dict[str, list[float | None]]:
    """Category -> IoU in each column, mean over seeds."""
    tables = {c: [r["miou_by_category"] for r in by_column[c] if r.get("miou_by_category")] for c in columns}
    names = sorted({name for rows in tables.values() for row in rows for name in row})

    def cell(column: str, name: str) -> float | None:
        values = [row[name] for row in tables[column] if _is_number(row.get(name))]
        return round_figure(mean(values)) if values else None

    return {name: [cell(column, name) for column in columns] for name in names}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def title(record: Record) -> str:
    """What sets a row of its task's table apart first: the data, and the task's main setting."""
    parts = [" ".join(str(record[name]) for name in ("dataset", "variant") if record.get(name))]
    if record.get("k_way") is not None:
        parts.append(f"{record['k_way']}-way {record.get('m_shot')}-shot")
    if _is_number(record.get("label_fraction")):
        parts.append(f"{100 * record['label_fraction']:g} % of the labels")
    parts += ["frozen encoder"] if record.get("frozen") else []
    parts += ["voting"] if record.get("voting") else []
    return " · ".join(part for part in parts if part)


def detail(record: Record) -> str:
    """The rest of a row's setting."""
    parts = [str(record.get("protocol") or "").replace("_", " ")]
    if record.get("protocol") == "published" and record.get("c") is not None:
        parts.append(f"C {record['c']:g}")
    parts += [str(record["model"])] if record.get("model") else []
    counted = {"num_points": "points", "num_train": "train", "num_test": "test", "num_shapes": "shapes"}
    counted |= {"num_queries": "queries", "num_gallery": "in the gallery", "n_runs": "episodes"}
    counted |= {"num_copies": "copies"}
    parts += [f"{record[name]} {unit}" for name, unit in counted.items() if record.get(name)]
    parts += changes(record)
    parts += ["normalised"] if record.get("normalize") else []
    return " · ".join(part for part in parts if part)
