"""Files of captions: texts of shapes by `<category>/<id>`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.layouts import CAPTIONS
from datasets.shapes.merged_tree import is_merged


def read_captions(path: str | Path, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Read the texts of shapes from a JSON object of shape names.

    Args:
        path: its values are a text, a list of texts, or an object whose "captions" is one of these.
        names: `<category>/<id>` of the shapes; texts of others are not read.
    Returns:
        The texts of each shape, at least one.
    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, or a shape has no text; names the first.
    """
    path = Path(path)
    merged = is_merged(path.parent)
    if not path.is_file():
        if merged:
            remedy = f"the trees that data.merge linked there had no {CAPTIONS}: add one to them, run data.merge again"
        else:
            remedy = (
                "those of built-in shapes are added by their command of data.make_shapes, run again, "
                "those of trees that were merged by that of data.merge"
            )
        raise FileNotFoundError(
            f"no captions at {path}: {remedy}; or name a JSON file with a text of each <category>/<id>, "
            "or pass --texts classes"
        )
    found = load_captions(path)
    missing = [name for name in names if name not in found]
    if missing:
        remedy = "add it" + (" to the captions of its own tree and run data.merge again" if merged else "")
        raise ValueError(
            f"{path} has no text of {len(missing)} of {len(names)} shapes, the first {missing[0]}; {remedy}"
        )
    return [_texts_of(found[name], name, path) for name in names]


def load_captions(path: Path) -> dict[str, Any]:
    """Load a file of captions as it is, without a look at the texts.

    Raises:
        ValueError: it is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON text in UTF-8 ({error}); make it again") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected an object of texts by <category>/<id>, found {type(found).__name__}")
    return found


def _texts_of(value: Any, name: str, path: Path) -> tuple[str, ...]:
    value = value.get("captions") if isinstance(value, dict) else value
    texts = tuple(value) if isinstance(value, list) else (value,)
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(
            f"{path}: {name} has {str(value)[:60]!r}, expected a text or a list of texts, none of them blank"
        )
    return texts
