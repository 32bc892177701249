"""Record of a tree that data.merge made of links: the class that each of its folders has in the tree of origin."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MERGED = "merge.json"


def is_merged(root: str | Path) -> bool:
    """Return whether a folder has the record; trees that earlier versions merged have none."""
    return (Path(root) / MERGED).is_file()


def read_record(root: str | Path) -> dict[str, Any]:
    """Read the record of a merged tree: "classes", and "captions_sha256" of captions that data.merge wrote, or None.

    Returns:
        An empty object where there is none.
    Raises:
        ValueError: it is damaged.
    """
    path = Path(root) / MERGED
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        classes = {name: found["classes"][name] for name in found["classes"]}
        if not all(isinstance(name, str) for name in classes.values()):
            raise TypeError("a class is no text")
        return {"classes": classes, "captions_sha256": found["captions_sha256"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged or no record of data.merge ({error!r}); delete it and run data.merge again"
        ) from error


def own_classes(root: str | Path, folders: Iterable[str]) -> dict[str, str]:
    """Return the class of each folder of a tree: its name in the tree that data.merge linked it from, else its own.

    Raises:
        ValueError: the record is damaged.
    """
    classes = read_record(root).get("classes", {})
    return {folder: classes.get(folder, folder) for folder in folders}
