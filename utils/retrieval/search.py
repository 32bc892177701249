"""Retrieval between pictures and shapes: queries from files, the nearest shapes, scores both ways, a contact sheet."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ImageOps
from torch import Tensor

from datasets.shapes.background_removal import cut_background
from datasets.shapes.shape_folder import SUFFIXES, ShapeFile, read_shape
from datasets.shapes.views import flatten, load_view, open_view, plain_colours
from datasets.transforms.image_transforms import to_pixels
from utils.figures.contact_sheet import Cell
from utils.retrieval.cross_modal import CrossModal
from utils.retrieval.retrieval_scores import Embedded, RetrievalScore, score_retrieval

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
SAME_SHAPE, SAME_CATEGORY = "#009E73", "#56B4E9"  # frames of answers to a query whose shape is known


class Query(NamedTuple):
    """A picture with its pixels (3, H, W) uint8, or a shape without (None); `shape` is the right answer if known."""

    path: Path
    pixels: Tensor | None
    shape: ShapeFile | None = None


class Answer(NamedTuple):
    """A shape and its cosine with the query."""

    shape: ShapeFile
    similarity: float


def read_query(path: str | Path, background: str, *, is_cut: bool = False) -> Query:
    """Open a picture or a shape, told apart by the suffix of its file; shapes are read when they are embedded.

    Args:
        background: behind transparent pixels.
        is_cut: cut pictures out of their own background first.
    Raises:
        FileNotFoundError: no such file.
        ValueError: neither a picture nor a shape, or a picture that cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
        return Query(path, None)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        known = ", ".join((*PICTURE_SUFFIXES, *SUFFIXES))
        raise ValueError(f"--query {path}: expected a picture or a shape ({known}), found {path.suffix!r}")
    if not path.is_file():
        raise FileNotFoundError(f"--query {path}: no such picture")
    image = ImageOps.exif_transpose(plain_colours(open_view(path)))
    if is_cut:
        try:
            image = cut_background(flatten(image, background))
        except ValueError as error:
            raise ValueError(f"--query {path}: {error}; leave --cut_background out") from error
    return Query(path, to_pixels(flatten(image, background)))


def sample_queries(shapes: Sequence[ShapeFile], background: str, *, number: int, seed: int) -> list[Query]:
    """Draw one view each of up to `number` shapes, of different categories.

    Raises:
        ValueError: no shape has a view.
    """
    rng = np.random.default_rng(seed)
    by_category: dict[str, list[ShapeFile]] = {}
    for index in rng.permutation(len(shapes)):
        if shapes[index].views:
            by_category.setdefault(shapes[index].category, []).append(shapes[index])
    if not by_category:
        raise ValueError("these shapes have no pictures to ask with: pass --query, or make them by data.render_views")
    chosen = [shapes[0] for _, shapes in sorted(by_category.items())]
    chosen = [chosen[i] for i in np.linspace(0, len(chosen), min(number, len(chosen)), endpoint=False).astype(int)]
    paths = [shape.views[rng.integers(len(shape.views))] for shape in chosen]
    return [Query(path, to_pixels(load_view(path, background)), shape) for path, shape in zip(paths, chosen)]


def embed_queries(cross_modal: CrossModal, queries: Sequence[Query]) -> np.ndarray:
    """Embed queries as (Q, D), in their order."""
    rows: dict[int, np.ndarray] = {}
    pictures = [i for i, query in enumerate(queries) if query.pixels is not None]
    shapes = [i for i, query in enumerate(queries) if query.pixels is None]
    if pictures:
        rows.update(zip(pictures, cross_modal.embed_pictures(queries[i].pixels for i in pictures)))
    if shapes:
        rows.update(zip(shapes, cross_modal.embed_shapes([queries[i].path for i in shapes])))
    return np.stack([rows[i] for i in range(len(queries))])


def nearest(query: np.ndarray, index: np.ndarray, shapes: Sequence[ShapeFile], top: int) -> list[list[Answer]]:
    """Find the `top` nearest shapes of each query (Q, D) in an index (S, D), best first."""
    similarity = query @ index.T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :top]
    return [[Answer(shapes[i], float(row[i])) for i in best] for row, best in zip(similarity, order)]


def may_be_trained_on(shapes: Path, data_root: str) -> bool:
    """Tell whether a folder may be the --data_root of a run, which may be relative to another folder."""
    root = Path(data_root)
    if root.is_absolute():
        return shapes.resolve() == root.resolve()
    own = tuple(part for part in root.parts if part != "..")
    return not own or shapes.resolve().parts[-len(own) :] == own


def score_both_ways(
    cross_modal: CrossModal, shapes: Sequence[ShapeFile], index: np.ndarray
) -> dict[str, RetrievalScore]:
    """Score image_to_shape, where every view is a query for its shape, and shape_to_image, the other way round.

    Raises:
        ValueError: a shape has no view, or there are fewer than 2 shapes.
    """
    bare = [shape.name for shape in shapes if not shape.views]
    if bare or len(shapes) < 2:
        what = f"{len(bare)} of {len(shapes)} shapes have no picture (first: {bare[0]})" if bare else "one shape"
        raise ValueError(f"{what}: --evaluate needs ShapeNet/ and ShapeNetRendering/ in --shapes (data.render_views)")
    background = cross_modal.background
    views = [(number, view) for number, shape in enumerate(shapes) for view in shape.views]
    pictures = cross_modal.embed_pictures(to_pixels(load_view(view, background)) for _, view in views)
    owner = np.array([number for number, _ in views])
    category = np.array([shape.category for shape in shapes])
    of_shapes = Embedded(index, np.arange(len(shapes)), category)
    of_views = Embedded(pictures, owner, category[owner])
    return {
        "image_to_shape": score_retrieval(of_views, of_shapes),
        "shape_to_image": score_retrieval(of_shapes, of_views),
    }


def sheet_rows(queries: Sequence[Query], answers: Sequence[Sequence[Answer]], seed: int) -> list[list[Cell]]:
    """Lay out a row for each query: the query, then its answers. Points of meshes are sampled by `seed`."""
    rows = []
    for query, best in zip(queries, answers):
        picture = query.pixels.permute(1, 2, 0).numpy() if query.pixels is not None else None
        cells = [Cell(_short(query), picture if picture is not None else read_shape(query.path, seed=seed))]
        for rank, answer in enumerate(best, 1):
            title = f"{rank}  {_last(answer.shape.name)}\n{answer.shape.category or '-'}  {answer.similarity:.2f}"
            cells.append(Cell(title, _look(answer.shape, seed), _frame(query.shape, answer.shape)))
        rows.append(cells)
    return rows


def _short(query: Query) -> str:
    return f"{query.shape.category} view" if query.shape else _last(query.path.name)


def _last(name: str, limit: int = 20) -> str:
    """Shorten a path to its end, where names differ."""
    name = name.rsplit("/", 1)[-1]
    return name if len(name) <= limit else f"…{name[1 - limit :]}"


def _look(shape: ShapeFile, seed: int) -> np.ndarray:
    """Return a shape's first view on white (H, W, 3) uint8, or its points (N, 3) where it has none."""
    if shape.views:
        return np.asarray(load_view(shape.views[0], "white"))
    return read_shape(shape.path, seed=seed)


def _frame(asked: ShapeFile | None, found: ShapeFile) -> str | None:
    if asked is None:
        return None
    if asked.name == found.name:
        return SAME_SHAPE
    return SAME_CATEGORY if asked.category == found.category else None
