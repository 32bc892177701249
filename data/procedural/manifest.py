"""Record of the arguments that made a folder of data, so that a second run can tell whether it is complete."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from datasets.layouts import CAPTIONS, CLOUDS, MODELNET40, RENDERS, SCANOBJECTNN, SHAPENET_PART_FOLDER
from utils.files import write_text
from utils.output_files import check_output_folder

FOLDERS = (CLOUDS, RENDERS, MODELNET40, SCANOBJECTNN, SHAPENET_PART_FOLDER)  # that make_shapes writes


def prepare(
    out: Path,
    recipe: dict[str, int],
    *,
    overwrite: bool,
    program: str = "make_shapes",
    folders: Sequence[str] = FOLDERS,
) -> bool:
    """Prepare `out` for writing a tree by this recipe.

    Args:
        out: folder of the tree; created with its parents.
        recipe: every argument that changes the data.
        overwrite: remove a tree that this program made by another recipe.
        program: that writes the tree; `out` then holds its record, <program>.json.
        folders: that it writes below `out`.
    Returns:
        False if the complete tree by the same recipe exists already.
    Raises:
        ValueError: the folder holds something else, or is or lies below a file; the message gives a remedy.
    """
    check_output_folder("--out", out)
    record = out / f"{program}.json"
    found = _read(record)
    if found is None and out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and was not made by {program}; pass another --out")
    if found is not None and found["recipe"] == recipe and not overwrite:
        return not found["complete"]
    if found is not None and not overwrite:
        raise ValueError(
            f"{out} holds data of {program} made by other arguments ({_difference(found['recipe'], recipe)}); "
            "pass another --out, or --overwrite to replace it"
        )
    for name in folders if found is not None else ():
        shutil.rmtree(out / name, ignore_errors=True)
    (out / CAPTIONS).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    _write(record, recipe, complete=False)
    return True


def finish(out: Path, recipe: dict[str, int], *, program: str = "make_shapes") -> None:
    """Mark the tree as complete."""
    _write(out / f"{program}.json", recipe, complete=True)


def unfinished(out: Path, program: str) -> dict[str, int | float | str] | None:
    """Return the recipe of a tree that the program has begun and not finished; None where it has, or has none.

    Raises:
        ValueError: its record is damaged.
    """
    found = _read(out / f"{program}.json")
    return found["recipe"] if found is not None and not found["complete"] else None


def _read(path: Path) -> dict | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {"recipe": dict(found["recipe"]), "complete": bool(found["complete"])}
    except (ValueError, KeyError, TypeError) as error:
        remedy = f"delete the folder {path.parent} or pass another --out"
        raise ValueError(f"{path} is damaged ({error}); {remedy}") from error


def _write(path: Path, recipe: dict[str, int], *, complete: bool) -> None:
    write_text(path, json.dumps({"recipe": recipe, "complete": complete}, indent=1) + "\n")


def _difference(found: dict, wanted: dict) -> str:
    keys = [key for key in sorted(found.keys() | wanted.keys()) if found.get(key) != wanted.get(key)]
    return ", ".join(f"{key} {found.get(key)} there, {wanted.get(key)} asked for" for key in keys)
