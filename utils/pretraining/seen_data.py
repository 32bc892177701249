"""The shapes that a pre-training saw, opened again where it found them."""

from collections.abc import Mapping
from typing import Any

from datasets.pairs.render_pairs import RenderPairs
from utils.pretraining.pair_loader import SourceSettings, open_source


def open_seen_data(flags: Mapping[str, Any], *, with_images: bool = False) -> RenderPairs | None:
    """Open the data of a training: the packed file or the trees that its flags name.

    Args:
        flags: of the training.
        with_images: whether pictures are asked for; without, none need to be there.
    Returns:
        None where they cannot be read here, and of shards, whose index does not name their shapes.
    """
    if flags.get("shards") is not None:
        return None
    try:
        settings = SourceSettings(data_root=flags["data_root"], packed=flags.get("packed"))
        return open_source(settings, num_points=2, with_images=with_images)
    except (OSError, ValueError):
        return None


def place_of_data(flags: Mapping[str, Any]) -> str:
    """Return the folder, file or URL that the flags of a training name as its data."""
    return flags.get("shards") or flags.get("packed") or flags["data_root"]
