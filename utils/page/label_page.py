"""The page of a labelling: pictures of what is uncertain on top, classes to choose, and a file of the corrections."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from datasets.shapes.views import load_view
from utils.page.page import assemble
from utils.texts.shape_labels import COLUMNS, PERSON, ShapeLabel

MOST_SHOWN = 1500  # shapes; a page of 30 MB still opens
_SIDE = 112  # pixels of a picture


def by_doubt(labels: Sequence[ShapeLabel]) -> list[int]:
    """Return the rows from the least certain to the surest; those that a person has named come last."""
    return sorted(range(len(labels)), key=lambda row: (labels[row].decided_by == PERSON, labels[row].confidence))


def build_label_page(
    title: str,
    labels: Sequence[ShapeLabel],
    pictures: Mapping[int, Sequence[Path]],
    names: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Build the page.

    Args:
        title: heading.
        labels: all rows.
        pictures: row -> files of views, of the rows that are shown, in their order.
        names: all classes.
        notes: lines below the heading.
    """
    data = {
        "title": title,
        "columns": COLUMNS,
        "rows": [(*row[:2], round(row[2], 4), row[3], round(row[4], 4), *row[5:]) for row in labels],
        "shown": [{"row": row, "pictures": [_url(view) for view in views]} for row, views in pictures.items()],
        "classes": list(names),
        "notes": list(notes),
    }
    return assemble(data, "labels.html", ("base.js", "labels.js"))


def _url(path: Path) -> str:
    with io.BytesIO() as stream:
        load_view(path, "white").resize((_SIDE, _SIDE)).save(stream, format="JPEG", quality=82)
        return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
