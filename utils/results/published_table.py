"""A table of published figures beside ours on the same data sets, and the command that makes ours."""

from collections.abc import Sequence
from pathlib import Path

from utils import markdown
from utils.csv_rows import Row, read_rows
from utils.results.result_records import group_of, percent_of
from utils.results.result_tables import mean_cell
from utils.results.seed_means import seed_mean
from utils.results.tasks import FIGURE_NAMES, protocol_name

# c: only of a protocol that fixes it. encoder: what ours starts from, random or pretrained.
# figure: percent, with its deviation if one was published. source: where we read it. command: what makes ours.
COLUMNS = (
    *("task", "protocol", "setting", "c", "dataset", "variant", "model", "encoder", "metric"),
    *("figure", "source", "command"),
)
_SAME = COLUMNS[: COLUMNS.index("figure")]
PUBLISHED_DATA = "published"  # what --data names the published archives in records
MISSING = "needs the data set"


def read_published(path: Path) -> list[Row]:
    """Read the CSV of published figures.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the columns are not COLUMNS.
    """
    return read_rows(path, COLUMNS)


def published_table(published: Sequence[Row], ours: Sequence[Row]) -> str:
    """Return Markdown: a line for each published figure, with ours on that data set if there are any.

    Ours have a line for each pre-training, number of points and the like.

    Args:
        published: rows of COLUMNS.
        ours: rows of utils.results.result_records.COLUMNS, of any data.
    """
    header = ["test set", "encoder", "task and protocol", "figure", "published (%)", "source", "ours (%)", "of"]
    header += ["seeds of weights", "seeds of evaluation", "command"]
    lines = []
    for row in published:
        groups: dict[tuple[str, ...], list[Row]] = {}
        for other in ours:
            if other["data"] == PUBLISHED_DATA and all(other[name] == row[name] for name in _SAME if row[name]):
                groups.setdefault(group_of(other), []).append(other)
        test_set = f"{row['dataset']} {row['variant']}".strip()
        encoder = row["model"] + (", from scratch" if row["encoder"] == "random" else "")
        names = [test_set, encoder, protocol_name(row), FIGURE_NAMES[row["metric"]], row["figure"], row["source"]]
        for figures in [_figures(group) for group in groups.values()] or [[MISSING, "-", "-", "-"]]:
            lines.append([*names, *figures, f"`{row['command']}`"])
    return markdown.table(header, lines)


def _figures(group: Sequence[Row]) -> list[str]:
    """Cells ours, of, seeds of weights, seeds of evaluation."""
    row, ours = group[0], seed_mean([percent_of(row) for row in group])
    words = [row["run"], f"{row['num_points']} points", *([f"k {row['k']}"] if row["k"] else [])]
    words += ["normalised"] if row["normalize"] == "True" else []
    return [mean_cell(ours), ", ".join(words), str(ours.num_weights), ours.num_evaluations]
