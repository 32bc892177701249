"""Published figures beside ours on the same data sets, as a table: what is to come out again, and how."""

from collections.abc import Sequence
from pathlib import Path

from utils import markdown
from utils.csv_rows import Row, read_rows
from utils.results.tables import group_of, mean_and_deviation
from utils.results.tasks import FIGURE_NAMES, protocol_name

# c: of a protocol that fixes it. encoder: what ours starts from, random or pretrained.
# figure: percent, with its deviation where one was published. source: where we read it. command: what makes ours.
COLUMNS = (
    *("task", "protocol", "setting", "c", "dataset", "variant", "model", "encoder", "metric"),
    *("figure", "source", "command"),
)
_SAME = COLUMNS[: COLUMNS.index("figure")]
PUBLISHED_DATA = "published"  # what --data names the published archives in records
MISSING = "needs the data set"


def read_published(path: Path) -> list[Row]:
    """Rows of the CSV of published figures.

    Raises:
        FileNotFoundError: no such file.
        ValueError: other columns than COLUMNS.
    """
    return read_rows(path, COLUMNS)


def published_table(published: Sequence[Row], ours: Sequence[Row]) -> str:
    """Markdown: a line for each published figure, and ours where there are some on that data set.

    Where these are of several pre-trainings, numbers of points or the like, there is a line for each of them.

    Args:
        published: rows of COLUMNS.
        ours: rows of utils.results.tables.COLUMNS, of any data.
    """
    header = [
        "test set",
        "encoder",
        "task and protocol",
        "figure",
        "published (%)",
        "source",
        "ours (%)",
        "of",
        "seeds",
    ]
    lines = []
    for row in published:
        groups: dict[tuple[str, ...], list[Row]] = {}
        for other in ours:
            if other["data"] == PUBLISHED_DATA and all(other[name] == row[name] for name in _SAME if row[name]):
                groups.setdefault(group_of(other), []).append(other)
        test_set = f"{row['dataset']} {row['variant']}".strip()
        encoder = row["model"] + (", from scratch" if row["encoder"] == "random" else "")
        names = [test_set, encoder, protocol_name(row), FIGURE_NAMES[row["metric"]], row["figure"], row["source"]]
        for figures in [_figures(group) for group in groups.values()] or [[MISSING, "-", "-"]]:
            lines.append([*names, *figures, f"`{row['command']}`"])
    return markdown.table([*header, "command"], lines)


def _figures(group: Sequence[Row]) -> list[str]:
    """Cells ours, of, seeds."""
    row, values = group[0], [100 * float(row["value"]) for row in group]
    words = [row["run"], f"{row['num_points']} points", *([f"k {row['k']}"] if row["k"] else [])]
    words += ["normalised"] if row["normalize"] == "True" else []
    return [mean_and_deviation(values), ", ".join(words), str(len(values))]
