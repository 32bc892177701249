"""Files of captions: texts of shapes by `<category>/<id>`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


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
    if not path.is_file():
        raise FileNotFoundError(
            f"no captions at {path}: run the command of data.make_shapes again, which adds those of built-in shapes, "
            "name a JSON file with a text of each <category>/<id>, or pass --texts classes"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON text in UTF-8 ({error}); make it again") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}: expected an object of texts by <category>/<id>, found {type(found).__name__}")
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{path} has no text of {len(missing)} of {len(names)} shapes, the first {missing[0]}; add it")
    return [_texts_of(found[name], name, path) for name in names]


def _texts_of(value: Any, name: str, path: Path) -> tuple[str, ...]:
    value = value.get("captions") if isinstance(value, dict) else value
    texts = tuple(value) if isinstance(value, list) else (value,)
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(
            f"{path}: {name} has {str(value)[:60]!r}, expected a text or a list of texts, none of them blank"
        )
    return texts
