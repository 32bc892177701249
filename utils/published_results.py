"""Published figures beside ours on the same data sets, as a table: what is to come out again, and how."""

from collections.abc import Sequence
from pathlib import Path

from utils import markdown
from utils.csv_rows import Row, read_rows
from utils.results import mean_and_deviation
from utils.tasks import FIGURE_NAMES, protocol_name

# figure: percent, with its deviation where one was published. source: where we read it. command: what makes ours.
COLUMNS = ("task", "protocol", "setting", "dataset", "variant", "model", "metric", "figure", "source", "command")
_SAME = COLUMNS[:7]
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
    """Markdown: a line for each published figure, and our pre-trained encoders' where they met that data set.

    Args:
        published: rows of COLUMNS.
        ours: rows of utils.results.COLUMNS, of any data.
    """
    header = ["test set", "encoder", "task and protocol", "figure", "published (%)", "source", "ours (%)", "seeds"]
    lines = []
    for row in published:
        found = [
            100 * float(other["value"])
            for other in ours
            if other["data"] == PUBLISHED_DATA
            and other["encoder"] == "pretrained"
            and all(other[name] == row[name] for name in _SAME)
        ]
        figures = [mean_and_deviation(found), str(len(found))] if found else [MISSING, "-"]
        test_set = f"{row['dataset']} {row['variant']}".strip()
        names = [test_set, row["model"], protocol_name(row | {"c": "0.1"}), FIGURE_NAMES[row["metric"]]]
        lines.append([*names, row["figure"], row["source"], *figures, f"`{row['command']}`"])
    return markdown.table([*header, "command"], lines)
