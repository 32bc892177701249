"""Pre-training pairs from the trees ShapeNet and ShapeNetRendering."""

import shlex
from pathlib import Path

import numpy as np

from datasets.layouts import CLOUDS, RENDERS
from datasets.pairs.pair_tables import PAIRS, pairs_command, read_table
from datasets.pairs.pixel_pairs import PixelPairs
from datasets.pairs.render_pairs import RenderPairs
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import FIX, TreeShape, list_shapes
from datasets.shapes.views import load_colours


class ShapeNetRender(RenderPairs):
    """Items of RenderPairs for all shapes below one root, in sorted order.

    With `augment=False` every view must have the size of the first one; reading another is an error.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        with_images: bool = True,
        limit: int | None = None,
        expected_shapes: int | None = None,
        **options,
    ) -> None:
        """
        Args, beside those of RenderPairs:
            root: the folder that holds ShapeNet/ and ShapeNetRendering/.
            limit: keep the first so many shapes; None keeps all.
            expected_shapes: total number of clouds that must be there, over all synset folders; None takes any.
        Raises:
            FileNotFoundError: no clouds or no renders below root.
            ValueError: a cloud has no renders, their number is not the expected one, or an argument is invalid.
        """
        self.root = Path(root)
        self.shapes = list_shapes(self.root, with_views=with_images)
        if expected_shapes is not None and len(self.shapes) != expected_shapes:
            raise ValueError(f"{self.root} holds {len(self.shapes)} clouds, expected {expected_shapes}; run: {FIX}")
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self.shapes = self.shapes[:limit]
        if with_images:
            _require_views(self.shapes, self.root)
        super().__init__(with_images=with_images, **options)

    def __len__(self) -> int:
        return len(self.shapes)

    def name(self, index: int) -> str:
        return str(self.shapes[index])

    def files(self, index: int) -> str:
        return f"{self.cloud_name(index)} and {self.shapes[index].view_folder(self.root)}"

    def cloud_name(self, index: int) -> str:
        return str(self.shapes[index].cloud_path(self.root))

    def view_file(self, index: int, view: int) -> str:
        shape = self.shapes[index]
        return str(shape.view_folder(self.root) / shape.views[view])

    def num_views(self, index: int) -> int:
        return len(self.shapes[index].views)

    def read_points(self, index: int) -> np.ndarray:
        return read_points(self.shapes[index].cloud_path(self.root))

    def read_stored(self, index: int, view: int) -> np.ndarray:
        return np.asarray(load_colours(Path(self.view_file(index, view))))

    def read_pixel_pairs(self, index: int) -> PixelPairs:
        shape = self.shapes[index]
        return read_table(
            shape.render_folder(self.root) / PAIRS,
            num_points=len(self.read_points(index)),
            num_views=len(shape.views),
            remedy=pairs_command(self.root),
        )

    def find_view_size(self) -> tuple[int, int]:
        return tuple(self.read_stored(0, 0).shape[:2])


def _require_views(shapes: list[TreeShape], root: Path) -> None:
    bare = [str(shape) for shape in shapes if not shape.views]
    if bare:
        first = ", ".join(bare[:5]) + (", ..." if len(bare) > 5 else "")
        raise ValueError(
            f"{len(bare)} of {len(shapes)} clouds in {root / CLOUDS} have no picture {RENDERS}/<synset>/<id>/rendering/"
            f"*.png: {first}; make them: python -m data.render_views MESH_DIR --out {shlex.quote(str(root))}, or "
            "delete these clouds"
        )
