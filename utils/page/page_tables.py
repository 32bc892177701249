"""Tables of the records of all tasks: a row for each setting and figure, the random encoder beside each run's."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from utils.classification.recipes import changes
from utils.page.page_sections import round_figure
from utils.results.seed_means import OF_EVALUATION, SeedFigure, seed_mean
from utils.results.tasks import CONDITIONS, FIGURE_NAMES, TASKS, encoder_words, fixed_c, setting_words

Record = Mapping[str, Any]
RANDOM = "random"
# What two figures must share to stand in one row, besides their C and their recipe. Rows are sorted by it.
_SETTING = (
    *("dataset", "variant", "k_way", "m_shot", "n_query", "n_runs", "folds_sha256"),
    *("label_fraction", "frozen", "voting"),
    *CONDITIONS,
    *("num_train", "num_test", "num_classes", "num_shapes", "num_queries", "num_gallery", "num_copies", "chance"),
)


class Measurement(NamedTuple):
    """One record and the column it stands in: the run's name, or RANDOM."""

    column: str
    record: Record


def results_tables(runs: Mapping[str, Sequence[Record]]) -> dict[str, Any]:
    """Return `columns`, and of each task its `title` and `rows`, as the page's script reads them.

    Args:
        runs: name of a run -> its reports, each with a list `results`. A record whose `weights` are "random" goes to
            the column RANDOM, whichever run it came with; any other to its run's column.
    Raises:
        ValueError: a run holds results of two encoders under one seed.
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
    words = _words(record) or [*encoder_words(record), *changes(record)]
    return (*(record.get(name) for name in _SETTING), fixed_c(record), *words)


def _place(item: tuple[tuple, list[Measurement]]) -> list[tuple[bool, bool, Any]]:
    """Sorting key for tuples in which text, numbers and None stand in one place: None first, text after numbers."""
    return [(value is not None, isinstance(value, str), 0 if value is None else value) for value in item[0]]


def _row(group: Sequence[Measurement], columns: Sequence[str]) -> dict[str, Any]:
    record = group[0].record
    by_column = {column: _distinct(m.record for m in group if m.column == column) for column in columns}
    for column, records in by_column.items():
        _check_one_encoder_a_seed(column, records)
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
    """Drop repeated records: the random encoder of a seed comes with every run that was compared with it."""
    keys = ("seed", "encoder_seed", "checkpoint_sha256", *FIGURE_NAMES)
    return list({tuple(record.get(key) for key in keys): record for record in records}.values())


def _check_one_encoder_a_seed(column: str, records: Sequence[Record]) -> None:
    """Refuse to average different encoders as if they were one method's seeds."""
    by_seed: dict[Any, Record] = {}
    for record in records:
        other = by_seed.setdefault(record.get("seed"), record)
        if other.get("checkpoint_sha256") != record.get("checkpoint_sha256"):
            raise ValueError(
                f"{column}: its results of seed {record.get('seed')} are of different encoders, "
                f"{other.get('checkpoint')} and {record.get('checkpoint')}, whose mean would mean nothing; keep the "
                "results of each in a folder of its own"
            )


def _cell(records: Sequence[Record], name: str) -> dict[str, Any] | None:
    """Mean and spread over seeds, see utils/results/seed_means.py; of a single few-shot record over its episodes."""
    figures = [
        SeedFigure(record.get("checkpoint_sha256") or record.get("encoder_seed"), record.get("seed"), record[name])
        for record in records
        if _is_number(record.get(name))
    ]
    if not figures:
        return None
    over_seeds = seed_mean(figures)
    spread, source, mark = over_seeds.spread, f"{over_seeds.num_weights} seeds of the weights", ""
    own = records[0].get(f"{name}_std")
    if over_seeds.is_of_evaluation:
        source, mark = f"{over_seeds.num_evaluations} seeds of evaluation", OF_EVALUATION
    elif spread is None and _is_number(own):
        spread, source, mark = own, f"{records[0].get('n_runs', '')} episodes".strip(), "‡"
    return {
        "mean": round_figure(over_seeds.mean),
        "spread": None if spread is None else round_figure(spread),
        "source": "" if spread is None else source,
        "mark": mark,
    }


def _categories(by_column: Mapping[str, Sequence[Record]], columns: Sequence[str]) -> dict[str, list[float | None]]:
    """Average the IoU of each category over seeds, in each column."""
    tables = {c: [r["miou_by_category"] for r in by_column[c] if r.get("miou_by_category")] for c in columns}
    names = sorted({name for rows in tables.values() for row in rows for name in row})

    def cell(column: str, name: str) -> float | None:
        values = [row[name] for row in tables[column] if _is_number(row.get(name))]
        return round_figure(mean(values)) if values else None

    return {name: [cell(column, name) for column in columns] for name in names}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def title(record: Record) -> str:
    """Return what sets a row of its task's table apart first: the data, and the task's main setting."""
    data = " ".join(str(record[name]) for name in ("dataset", "variant") if record.get(name))
    return " · ".join(filter(None, (data, *_words(record)[:1])))


def detail(record: Record) -> str:
    """Return the rest of a row's setting."""
    parts = [str(record.get("protocol") or "").replace("_", " ")]
    c = fixed_c(record)
    parts += [] if c is None else [f"C {c:g}"]
    parts += [str(record["model"])] if record.get("model") else []
    counted = {"num_points": "points", "num_train": "train", "num_test": "test", "num_shapes": "shapes"}
    parts += [f"{record[name]} {unit}" for name, unit in counted.items() if record.get(name)]
    parts += _words(record)[1:]
    parts += ["normalised"] if record.get("normalize") else []
    return " · ".join(parts)


def _words(record: Record) -> list[str]:
    """Call `setting_words`; a record of another program, whose task or fields are unknown here, has none."""
    try:
        return setting_words(record)
    except KeyError:
        return []
