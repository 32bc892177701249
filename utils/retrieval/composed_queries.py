"""Queries composed of rendered views: as rendered, cut out of a smooth background, and in a furnished room."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from datasets.shapes.background_removal import cut_background
from datasets.shapes.scenes import furnished_picture, smooth_picture
from datasets.shapes.shape_folder import ShapeFile
from datasets.shapes.views import flatten, load_colours
from datasets.transforms.image_transforms import to_pixels
from utils.figures.contact_sheet import Cell
from utils.retrieval.cross_modal import CrossModal
from utils.retrieval.retrieval_scores import Embedded, RetrievalScore, score_retrieval
from utils.retrieval.search import Query, nearest, sheet_rows

KINDS = ("plain", "cut", "furnished")
NUM_OTHERS = 5  # objects in a room beside the one that is asked for


class ComposedQueries:
    """Pictures of shapes in three kinds, each a function of (seed, number of the query, kind) alone.

    A query of a number shows the same view in all kinds. "plain" lays it on the training's background. "cut" puts it
    before a smooth background with a shadow, out of which the code behind --cut_background cuts it; where that finds no
    object, the picture stays whole. "furnished" puts it in a room, in front of views of other shapes.

    Args:
        shapes: each with views that have transparent pixels; at least 2.
        background: of the training.
        views: different ones of each shape that become queries; of shapes with fewer, all.
        seed: of all draws, >= 0.
    Attributes:
        owner: (Q,) the shape that each query shows.
        whole: numbers of the queries made so far in which no object was found to cut out.
    Raises:
        ValueError: a shape has no view, or there is one shape.
    """

    def __init__(self, shapes: Sequence[ShapeFile], background: str, *, views: int = 1, seed: int = 0):
        bare = [shape.name for shape in shapes if not shape.views]
        if bare or len(shapes) < 2:
            what = f"{len(bare)} of {len(shapes)} have no view (first: {bare[0]})" if bare else f"{len(shapes)} in all"
            raise ValueError(f"queries are views of two or more shapes: {what}; make views by data.render_views")
        self.shapes, self.background, self.seed = list(shapes), background, seed
        self.asked = [
            (index, view)
            for index, shape in enumerate(shapes)
            for view in np.random.default_rng((seed, index)).permutation(len(shape.views))[:views].tolist()
        ]
        self.owner = np.array([index for index, _ in self.asked])
        self.whole: set[int] = set()

    def __len__(self) -> int:
        return len(self.asked)

    def query(self, number: int, kind: str) -> Query:
        """Compose a query of one of KINDS.

        Raises:
            ValueError: a view cannot be read, is opaque, or shows nothing; names it.
        """
        index, view = self.asked[number]
        path = self.shapes[index].views[view]
        rng = np.random.default_rng((self.seed, number, KINDS.index(kind)))
        pixels = _read_transparent(self.shapes[index], view)
        try:
            picture = self._compose(number, kind, pixels, rng)
        except ValueError as error:
            raise ValueError(f"{path}: {error}; render it again") from error
        return Query(path, to_pixels(flatten(picture, self.background)), self.shapes[index])

    def _compose(self, number: int, kind: str, view: np.ndarray, rng: np.random.Generator) -> Image.Image:
        if kind == "plain":
            return Image.fromarray(view, "RGBA")
        if kind == "furnished":
            return furnished_picture(view, [self._draw_other(number, rng) for _ in range(NUM_OTHERS)], rng)
        picture = smooth_picture(view, rng)
        try:
            return cut_background(picture)
        except ValueError:
            self.whole.add(number)
            return picture

    def _draw_other(self, number: int, rng: np.random.Generator) -> np.ndarray:
        other = (self.owner[number] + 1 + int(rng.integers(len(self.shapes) - 1))) % len(self.shapes)
        shape = self.shapes[other]
        return _read_transparent(shape, int(rng.integers(len(shape.views))))


def _read_transparent(shape: ShapeFile, view: int) -> np.ndarray:
    """Read a view that lets its background through, (H, W, 4) uint8."""
    pixels = np.asarray(load_colours(shape.views[view]))
    if pixels.shape[2] == 3:
        raise ValueError(f"{shape.views[view]} is opaque: nothing can be put behind it; render it by data.render_views")
    return pixels


def score_kind(
    cross_modal: CrossModal, queries: ComposedQueries, kind: str, index: np.ndarray
) -> tuple[np.ndarray, RetrievalScore]:
    """Embed all queries of a kind as (Q, D), and score them against the index (S, D) of all shapes."""
    rows = cross_modal.embed_pictures(queries.query(number, kind).pixels for number in range(len(queries)))
    category = np.array([shape.category for shape in queries.shapes])
    of_shapes = Embedded(index, np.arange(len(category)), category)
    return rows, score_retrieval(Embedded(rows, queries.owner, category[queries.owner]), of_shapes)


def kinds_sheet(
    queries: ComposedQueries, rows: dict[str, np.ndarray], index: np.ndarray, *, number: int, top: int
) -> list[list[Cell]]:
    """Lay out some queries in every kind, as the network sees them, each with its `top` nearest shapes.

    Args:
        rows: kind -> embeddings (Q, D) of all its queries.
        number: of queries that are shown, evenly spread over all.
    """
    sheet = []
    for shown in np.linspace(0, len(queries), min(number, len(queries)), endpoint=False).astype(int).tolist():
        for kind, embedded in rows.items():
            best = nearest(embedded[shown : shown + 1], index, queries.shapes, top)
            ((asked, *answers),) = sheet_rows([queries.query(shown, kind)], best, queries.seed)
            sheet.append([asked._replace(title=f"{kind}\n{queries.shapes[queries.owner[shown]].category}"), *answers])
    return sheet
