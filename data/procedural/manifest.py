"""What a folder of built-in data was made with, so that a second run knows whether to do anything."""

import json
import shutil
from pathlib import Path

from data.procedural.hdf5_writers import MODELNET40, SCANOBJECTNN, SHAPENET_PART_FOLDER

FILE = "make_shapes.json"
FOLDERS = ("ShapeNet", "ShapeNetRendering", MODELNET40, SCANOBJECTNN, SHAPENET_PART_FOLDER)


def prepare(out: Path, recipe: dict[str, int], *, overwrite: bool) -> bool:
    """Make `out` ready for writing a tree by this recipe.

    Args:
        out: folder of the tree; created with its parents.
        recipe: every argument that changes the data.
        overwrite: remove a tree this program made by another recipe.
    Returns:
        False when the complete tree by the same recipe is there already and nothing is left to do.
    Raises:
        ValueError: the folder holds something else, and what to do about it.
    """
    found = _read(out)
    if found is None and out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and was not made by make_shapes; pass another --out")
    if found is not None and found["recipe"] == recipe and not overwrite:
        return not found["complete"]
    if found is not None and not overwrite:
        raise ValueError(
            f"{out} holds built-in data made by other arguments ({_difference(found['recipe'], recipe)}); "
            "pass another --out, or --overwrite to replace it"
        )
    for name in FOLDERS if found is not None else ():
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    _write(out, recipe, complete=False)
    return True


def finish(out: Path, recipe: dict[str, int]) -> None:
    """Mark the tree as complete."""
    _write(out, recipe, complete=True)


def _read(out: Path) -> dict | None:
    path = out / FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"recipe": dict(found["recipe"]), "complete": bool(found["complete"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete the folder {out} or pass another --out") from error


def _write(out: Path, recipe: dict[str, int], *, complete: bool) -> None:
    partial = out / f".{FILE}.partial"
    partial.write_text(json.dumps({"recipe": recipe, "complete": complete}, indent=1) + "\n", encoding="utf-8")
    partial.replace(out / FILE)


def _difference(found: dict, wanted: dict) -> str:
    keys = [key for key in sorted(found.keys() | wanted.keys()) if found.get(key) != wanted.get(key)]
    return ", ".join(f"{key} {found.get(key)} there, {wanted.get(key)} asked for" for key in keys)
