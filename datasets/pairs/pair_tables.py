"""The file `pairs.npz` of a shape: which points of its cloud are seen where in its views, see PixelPairs."""

import shlex
from pathlib import Path

import numpy as np

from datasets.pairs.pixel_pairs import PixelPairs

PAIRS = "pairs.npz"


def read_table(path: Path, *, num_points: int, num_views: int, remedy: str) -> PixelPairs:
    """Read the pairs of a cloud of `num_points` with `num_views` views.

    Args:
        remedy: command that makes the file, for messages.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or of another cloud or other views.
    """
    try:
        # our own stream, because np.load leaves a damaged file open
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            table = PixelPairs(*(arrays[name] for name in PixelPairs._fields))
    except FileNotFoundError:
        raise FileNotFoundError(f"no pairs of pixels and points at {path}; make them: {remedy}") from None
    except OSError:
        raise
    except Exception as error:  # numpy, zipfile and zlib raise a dozen types for damaged bytes
        raise ValueError(f"{path} is no table of pairs ({error}); delete it and make it again: {remedy}") from error
    fault = table.fault(num_points, num_views)
    if fault:
        raise ValueError(f"{path}: {fault}; delete it and make it again: {remedy}")
    return table


def pairs_command(root: Path) -> str:
    """Name the command that adds the missing tables of pairs below the root of a pre-training tree."""
    out = shlex.quote(str(root))
    return (
        f"run the command that made {out} once more with --pairs (python -m data.make_shapes --out {out} --pairs, or "
        f"python -m data.render_views MESH_DIR --out {out} --pairs, with the same flags as then)"
    )
