"""The index of a folder of shapes: their embeddings, in memory or in a file."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.shapes.shape_folder import ShapeFile
from utils.files import read_npz, write_npz
from utils.retrieval.cross_modal import CrossModal

# Those constants of load_cross_modal on which embeddings depend.
_ORIGIN = (
    *("checkpoint_sha256", "encoder_seed", "model", "k", "image_model", "num_points", "num_copies", "augmentation"),
    "seed",
)


def embed_folder(
    cross_modal: CrossModal,
    shapes: Sequence[ShapeFile],
    constants: dict[str, Any],
    path: Path | None = None,
    report: Callable[[str], None] = print,
) -> np.ndarray:
    """Read the embeddings (S, D) of shapes from the index at `path`, or compute and write them.

    Args:
        constants: of `load_cross_modal`.
        path: .npz of `embedding` (S, D) float32, `name` (S,) and `origin`, a JSON text; None keeps nothing.
    Raises:
        ValueError: the index is damaged, or was made from another checkpoint, other settings or other shapes.
    """
    origin = {key: constants[key] for key in _ORIGIN} | {"shapes": _shapes_digest(shapes)}
    if path is not None and path.exists():
        embedding = _read(path, origin)
        report(f"index of {len(embedding)} shapes read from {path}")
        return embedding
    embedding = cross_modal.embed_shapes([shape.path for shape in shapes])
    if path is not None:
        write_npz(path, embedding=embedding, name=[shape.name for shape in shapes], origin=json.dumps(origin))
        report(f"index of {len(embedding)} shapes written to {path}")
    return embedding


def _read(path: Path, origin: dict[str, Any]) -> np.ndarray:
    try:
        arrays = read_npz(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"--index {path} cannot be read ({error}); name another file, or delete it") from error
    try:
        embedding, found = arrays["embedding"], json.loads(str(arrays["origin"]))
        changed = [key for key, value in origin.items() if found[key] != value]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--index {path} is no index of scripts.retrieve: name another file") from error
    if changed:
        difference = ", ".join(f"{key} was {found[key]}, is {origin[key]}" for key in changed)
        raise ValueError(f"--index {path} is of something else: {difference}; delete it or name another file")
    return embedding


def _shapes_digest(shapes: Sequence[ShapeFile]) -> str:
    """Digest every file's name, size and time, so that a shape added, removed or made again is noticed."""
    stats = [shape.path.stat() for shape in shapes]
    lines = [f"{shape.name} {stat.st_size} {stat.st_mtime_ns}" for shape, stat in zip(shapes, stats)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
