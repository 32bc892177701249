"""Tables of recorded results: random beside pre-trained encoders, short or full, and where the encoders come from."""

from collections.abc import Mapping, Sequence

from utils import markdown
from utils.csv_rows import Row
from utils.evaluation.frozen_encoder import PUBLISHED_K
from utils.results.result_records import group_of, percent_of, random_group
from utils.results.seed_means import OF_EVALUATION, SeedFigure, SeedMean, gain_error, seed_mean
from utils.results.tasks import FIGURE_NAMES, TASKS, protocol_name

_FIGURES = ("random (%)", "pre-trained (%)", "gain", "seeds of weights", "seeds of evaluation")


def results_table(rows: Sequence[Row]) -> str:
    """Return Markdown: a line for each test set, protocol and figure, random and pre-trained encoder in percent."""
    rows = [row for row in rows if row["metric"] in TASKS[row["task"]].shown]
    named = any(row["run"] for row in rows)
    header = [*(["pre-training", "data"] if named else []), "test set", "encoder", "task and protocol", "figure"]
    lines = []
    for group in _groups(rows):
        row = group[0]
        cells = [row["run"], row["data"]] if named else []
        cells += [_test_set(row), _encoder(row)]
        lines.append([*cells, protocol_name(row), FIGURE_NAMES[row["metric"]], *_figures(group)])
    return markdown.table([*header, *_FIGURES], lines)


def short_table(rows: Sequence[Row], selection: Sequence[tuple[str, Mapping[str, str]]]) -> str:
    """Return Markdown: only the lines with the columns of `selection`, in its order and under its names."""
    groups, lines = _groups(rows), []
    for name, columns in selection:
        for group in groups:
            if columns.items() <= group[0].items():
                lines.append([group[0]["run"], group[0]["data"], _test_set(group[0]), name, *_figures(group)])
    return markdown.table(["pre-training", "data", "test set", "task", *_FIGURES], lines)


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that differ in encoder and seeds alone, in the order of the tables.

    Those of a pre-training in which labels have entered stand apart, beside the random encoders of the same name.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(rows, key=_place):
        groups.setdefault(group_of(row), []).append(row)
    for key, group in groups.items():
        if (other := random_group(key)) != key:
            group += [row for row in groups.get(other, []) if row["encoder"] == "random"]
    return list(groups.values())


def _place(row: Row) -> tuple[str | int, ...]:
    """Order in the tables: related rows side by side, tasks, protocols and figures as in TASKS."""
    task = TASKS[row["task"]]
    protocols, names = list(task.names), ("run", "data", "dataset", "variant")
    protocol = protocols.index(row["protocol"]) if row["protocol"] in protocols else len(protocols)
    numbers = (list(TASKS).index(row["task"]), int(row["num_points"] or 0), protocol)
    return (*(row[name] for name in names), *numbers, row["setting"], task.figures.index(row["metric"]))


def _test_set(row: Row) -> str:
    return f"{row['dataset']} {row['variant']}".strip() + (", normalised" if row["normalize"] == "True" else "")


def _encoder(row: Row) -> str:
    """Name the encoder of a row; neighbours only where others than the usual ones were asked for."""
    points = [f"{row['num_points']} points"] if row["num_points"] else []
    neighbours = [f"k {row['k']}"] if row["k"] not in ("", str(PUBLISHED_K)) else []
    return ", ".join([row["model"], *neighbours, *points])


def _figures(group: Sequence[Row]) -> list[str]:
    """The cells of _FIGURES; counts that differ as "of random / of pre-trained"."""
    sides = [[percent_of(row) for row in group if row["encoder"] == name] for name in ("random", "pretrained")]
    means = [seed_mean(side) if side else None for side in sides]
    present = [one for one in means if one]
    counts = [str(one.num_weights) for one in present], [one.num_evaluations for one in present]
    seeds = [" / ".join(dict.fromkeys(count)) for count in counts]
    return [*(mean_cell(one) if one else "-" for one in means), _gain_cell(sides, means), *seeds]


def mean_cell(figure: SeedMean) -> str:
    """Return the mean with one digit and, of several seeds, the sample standard deviation, marked if of evaluation."""
    spread = "" if figure.spread is None else f" ± {figure.spread:.1f}"
    return f"{figure.mean:.1f}{spread}{OF_EVALUATION if figure.is_of_evaluation else ''}"


def _gain_cell(sides: Sequence[Sequence[SeedFigure]], means: Sequence[SeedMean | None]) -> str:
    random, pretrained = means
    if random is None or pretrained is None:
        return "-"
    gain = f"{pretrained.mean - random.mean:+.1f}"
    error = gain_error(*sides)
    if error is None:
        return gain
    return f"{gain} ± {error:.1f}{OF_EVALUATION if random.is_of_evaluation or pretrained.is_of_evaluation else ''}"


def runs_table(rows: Sequence[Row]) -> str:
    """Return Markdown: a line for each pre-trained checkpoint, with what made it, where, and in how long."""
    header = ["pre-training", "seed", "machine", "hours", "commit", "checkpoint sha256", "command"]
    lines = {}
    for row in sorted(rows, key=lambda row: (row["run"], row["seed"])):
        if row["encoder"] == "pretrained":
            command = f"`{row['train_command']}`" if row["train_command"] else "-"
            cells = [row["run"], row["seed"], row["train_machine"] or "-", row["hours"] or "-"]
            cells += [row["train_commit"] or "-", f"`{row['sha256'][:12]}…`", command]
            lines[row["run"], row["sha256"]] = cells
    return markdown.table(header, lines.values())
