"""Tables of categories and parts: ShapeNetPart's, or one from a small JSON file.

    {"chair": ["back", "seat", "leg"], "lamp": ["base", "shade"]}

Categories are indexed in their order (`label` in the shards), and parts are numbered consecutively (`pid`): here back
0, seat 1, leg 2, base 3, shade 4.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets.labels import SHAPENET_PART, PartCategory, number_parts

PartTable = tuple[PartCategory, ...]
_ALIASES = {"motor": "motorbike"}  # the published code has both names
_EXPECTED = 'expected an object of categories and their parts, such as {"chair": ["back", "seat"]}'


def read_part_table(path: str | Path) -> PartTable:
    """Read the table in a JSON file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not JSON, or not a table; the message names the file and the category at fault.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; --parts {_EXPECTED}")
    try:
        names = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repeats)
        return part_table(names)
    except ValueError as error:  # of JSON, of UTF-8, or of the table
        raise ValueError(f"--parts {path}: {error}") from error


def part_table(names: Any) -> PartTable:
    """Build the table of a mapping from category to list of parts, as decoded from JSON.

    Raises:
        ValueError: it is no such mapping.
    """
    if names == part_names(SHAPENET_PART):
        return SHAPENET_PART
    if not isinstance(names, Mapping) or not names:
        raise ValueError(f"{_EXPECTED}, got {json.dumps(names)[:60]}")
    for category, parts in names.items():
        if not category.strip():
            raise ValueError(f"{_EXPECTED}, got a category without a name")
        if (
            not isinstance(parts, list)
            or not parts
            or not all(isinstance(part, str) and part.strip() for part in parts)
        ):
            raise ValueError(f"{category}: expected a list of names of parts, got {json.dumps(parts)[:60]}")
        if len(set(parts)) < len(parts):
            raise ValueError(f"{category}: a part is named twice in {json.dumps(parts)[:60]}")
    return number_parts((category, "", tuple(parts)) for category, parts in names.items())


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} is named twice")
    return found


def part_names(table: Sequence[PartCategory]) -> dict[str, list[str]]:
    """Return the mapping from category to parts that `part_table` accepts."""
    return {row.name: list(row.parts) for row in table}


def count_parts(table: Sequence[PartCategory]) -> int:
    """Return the total number of parts of all categories."""
    return table[-1].part_labels.stop


def category_name(table: Sequence[PartCategory], name: str, flag: str = "--class_choice") -> str:
    """Return the table's name of a category; the published code's `motor` is ShapeNetPart's motorbike.

    Args:
        flag: that named it, for the message.
    Raises:
        ValueError: no such category; the message lists the known ones.
    """
    names = [row.name for row in table]
    known = name if name in names else _ALIASES.get(name)
    if known not in names:
        raise ValueError(f"{flag} {name}: no such category, choose one of {', '.join(names)}")
    return known


def find_category(table: Sequence[PartCategory], name: str, flag: str = "--class_choice") -> int:
    """Return the index of a category, named as for `category_name`."""
    name = category_name(table, name, flag)
    return next(index for index, row in enumerate(table) if row.name == name)
