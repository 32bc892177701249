"""A few shapes of a pre-training tree to look at: their clouds, as training augments them, and their renders."""

import shlex
from pathlib import Path

import numpy as np

from datasets.labels import CATEGORY_NAMES
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import TreeShape, list_shapes
from datasets.shapes.views import load_view
from datasets.transforms.point_transforms import PUBLISHED_AUGMENT
from utils.figures.cloud_plots import PanelColumn

ROW_NAMES = ("cloud", "augmented", "once more", "a view")


def sample_columns(root: str | Path, *, num_shapes: int = 8, seed: int = 0) -> list[PanelColumn]:
    """Return columns of `shape_panel` with the rows ROW_NAMES, from as many categories as possible.

    Args:
        root: the folder that holds ShapeNet/ and ShapeNetRendering/.
        num_shapes: columns; fewer when the tree has fewer shapes.
        seed: of the choice of shapes, augmentations and views.
    Raises:
        FileNotFoundError: there are no clouds or no renders below root.
        ValueError: a chosen shape has no view, or a file is damaged.
    """
    root = Path(root)
    rng = np.random.default_rng(seed)
    return [_column(shape, root, rng) for shape in _choose(list_shapes(root), num_shapes, rng)]


def _choose(shapes: list[TreeShape], num_shapes: int, rng: np.random.Generator) -> list[TreeShape]:
    """One shape of each of `num_shapes` synsets spread over the list, then a second of each, ..."""
    by_synset: dict[str, list[TreeShape]] = {}
    for index in rng.permutation(len(shapes)):
        by_synset.setdefault(shapes[index].synset, []).append(shapes[index])
    synsets = sorted(by_synset)
    spread = np.linspace(0, len(synsets), min(num_shapes, len(synsets)), endpoint=False).astype(int)
    order = [synsets[i] for i in spread]
    most = max(map(len, by_synset.values()))
    turns = [by_synset[synset][turn] for turn in range(most) for synset in order if turn < len(by_synset[synset])]
    return sorted(turns[:num_shapes])


def _column(shape: TreeShape, root: Path, rng: np.random.Generator) -> PanelColumn:
    if not shape.views:
        check = f"python -m data.check_data {shlex.quote(str(root))}"
        raise ValueError(f"{shape} has no picture in {shape.view_folder(root)}; run: {check}")
    points = read_points(shape.cloud_path(root))
    view = shape.views[rng.integers(len(shape.views))]
    return PanelColumn(
        title=CATEGORY_NAMES.get(shape.synset, shape.synset),
        clouds=[points, PUBLISHED_AUGMENT(points, rng), PUBLISHED_AUGMENT(points, rng)],
        images=[np.asarray(load_view(shape.view_folder(root) / view, "white"))],
    )
