"""What the contrast of pixels and points has learned of a few shapes: both coloured by one projection of features."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.labels import CATEGORY_NAMES
from datasets.pairs.multiview_items import MultiViewItems, first_points
from datasets.pairs.render_pairs import RenderPairs
from datasets.transforms.image_transforms import resize_square
from datasets.transforms.point_transforms import unit_sphere
from models.methods.multiview import MultiView
from models.weights.published import load_encoder
from models.weights.weight_file import read_weights
from utils.multiview.teacher import TEACHER_DIGEST, MultiViewSettings, TaughtPairs
from utils.pretraining.program import PretrainingSettings
from utils.run.folder import read_config
from utils.run.names import BEST_HEADS, BEST_MODEL, CONFIG_FILE
from utils.settings import read_all

SHAPES, VIEWS = 3, 3  # shown
NEAR = 0.1  # a pixel finds a point that is no farther from its own, in radii of the cloud
VIEW_SIDE = 96  # pixels of a view in the file


class PixelPoints(NamedTuple):
    """S shapes with N points and V views each, and maps of M x M cells; alpha is 0 where there is nothing.

    `points` are in the unit sphere, `colours` those of their features. `pixels` holds the colours of the pixels'
    features in the cells where the shape is seen, `points_seen` the mean colours of the points that are paired with a
    cell. `found` is the share of pairs whose pixel's feature is, of all points, nearest to that of its own point or of
    one within NEAR; `chance` the share if the pixels chose points at random.
    """

    name: np.ndarray  # (S,) text
    points: np.ndarray  # (S, N, 3) float16
    colours: np.ndarray  # (S, N, 3) uint8
    views: np.ndarray  # (S, V, H, H, 3) uint8
    points_seen: np.ndarray  # (S, V, M, M, 4) uint8
    pixels: np.ndarray  # (S, V, M, M, 4) uint8
    found: np.ndarray  # (S,) float64
    chance: np.ndarray  # (S,) float64


def open_taught(run_dir: Path) -> TaughtPairs:
    """Open the data and the teacher of a finished run, as its config.json names them.

    Raises:
        OSError: the run, its data or its teacher is not there.
        ValueError: it is no run of a multi-view pre-training with a local loss, or something is damaged.
    """
    path = run_dir / CONFIG_FILE
    flags = read_config(path)["flags"]
    if not flags.get("local_weight"):
        raise ValueError(f"{path}: no run of scripts.pretrain_multiview whose --local_weight is above 0; name another")
    kinds = (*PretrainingSettings.__annotations__.values(), MultiViewSettings)
    flags = {field.name: field.default for kind in kinds for field in fields(kind)} | flags  # of an earlier version
    taught = TaughtPairs(MultiViewSettings.read(flags))
    taught.open(read_all(PretrainingSettings, flags), torch.device("cpu"))
    if flags.get(TEACHER_DIGEST, taught.cache.teacher) != taught.cache.teacher:
        raise ValueError(f"{taught.settings.teacher} holds other weights than the teacher of {run_dir}; put that back")
    return taught


def load_method(taught: TaughtPairs, run_dir: Path) -> MultiView:
    """Load the best model of a run, and the heads that belong to it, in eval mode.

    Args:
        taught: of the run, opened.
    Raises:
        FileNotFoundError, ValueError: missing or damaged weights, or of other sizes.
    """
    loaded, heads = load_encoder(run_dir / BEST_MODEL), run_dir / BEST_HEADS
    method = taught.build_method(loaded.encoder, loaded.stored_k)
    state = {name: value for name, value in read_weights(heads).items() if isinstance(value, Tensor)}
    state |= {f"point_encoder.{name}": value for name, value in loaded.encoder.state_dict().items()}
    try:
        method.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{heads} does not fit {run_dir / BEST_MODEL} and the teacher of the run: {error}") from error
    return method.eval()


def first_of_categories(source: RenderPairs, count: int = SHAPES) -> list[int]:
    """Return the first shape of each of the first categories, at most `count`."""
    first: dict[str, int] = {}
    for index in range(len(source)):
        first.setdefault(source.name(index).split("/")[0], index)
        if len(first) == count:
            break
    return list(first.values())


def find_shapes(source: RenderPairs, names: Sequence[str]) -> list[int]:
    """Return the places of shapes by their names; without a name, `first_of_categories`.

    Raises:
        ValueError: no shape has such a name.
    """
    if not names:
        return first_of_categories(source)
    place = {source.name(index): index for index in range(len(source))}
    unknown = [name for name in names if name not in place]
    if unknown:
        example = next(iter(place))
        raise ValueError(f"--shape {unknown[0]}: none of {len(place)}; names are <category>/<id>, such as {example}")
    return [place[name] for name in names]


def compare_shapes(method: MultiView, items: MultiViewItems, indices: Iterable[int]) -> PixelPoints:
    """Compute and colour the features of some shapes.

    Args:
        method: in eval mode, on the CPU.
        items: their clouds are taken without augmentation.
    Raises:
        OSError, ValueError: a shape that cannot be read.
    """
    return PixelPoints(*(np.stack(column) for column in zip(*(_compare(method, items, i) for i in indices))))


@torch.inference_mode()
def _compare(method: MultiView, items: MultiViewItems, index: int) -> PixelPoints:
    """Compute one shape: the same without the axis S."""
    source, size = items.source, items.map_size
    points = unit_sphere(first_points(source, index, items.num_points))
    maps = torch.from_numpy(items.targets.features(index)[0])[None]
    stored = source.read_pixel_pairs(index).of_first_views(items.num_views).rows(size)
    pairs = stored[stored[:, 3] < len(points)]
    if not len(pairs):
        raise ValueError(f"{source.files(index)}: no pixel is paired with one of its first {len(points)} points")

    def embed_pixels(cells: np.ndarray) -> Tensor:
        return F.normalize(method.embed_pixels(maps, torch.from_numpy(cells)[None])[0], dim=-1)

    rows = method.point_encoder.dense(torch.from_numpy(points)[None])[0]
    of_points = F.normalize(method.point_head(rows[0]), dim=-1)
    found, chance = _share_found(embed_pixels(pairs), of_points, points, pairs[:, 3])

    shown = range(items.num_views)[:: max(1, items.num_views // VIEWS)][:VIEWS]
    cells = np.unique(stored[np.isin(stored[:, 0], shown)] * [1, 1, 1, 0], axis=0)  # where the shape is seen
    colours = project_to_colours(torch.cat([of_points, embed_pixels(cells)]).numpy())
    of_cells = colours[len(points) :]
    views = torch.stack([resize_square(source.read_pixels(index, view)[None], VIEW_SIDE)[0] for view in shown])
    return PixelPoints(
        name=_title(source.name(index)),
        points=points.astype(np.float16),
        colours=np.rint(255 * colours[: len(points)]).astype(np.uint8),
        views=views.movedim(1, -1).numpy(),
        points_seen=_paint(pairs, colours[pairs[:, 3]], shown, size),
        pixels=_paint(cells, of_cells, shown, size),
        found=found,
        chance=chance,
    )


def _share_found(of_pixels: Tensor, of_points: Tensor, points: np.ndarray, own: np.ndarray) -> tuple[float, float]:
    """Return how often a pixel finds its point, and how often one drawn at random would be near enough.

    Shape: (R, D), (N, D), (N, 3), (R,)
    """
    places = torch.from_numpy(points).double()
    is_near = torch.cdist(places, places) <= NEAR  # (N, N)
    nearest = (of_pixels @ of_points.T).argmax(dim=1)
    return is_near[own, nearest].double().mean().item(), is_near[own].double().mean().item()


def project_to_colours(features: np.ndarray) -> np.ndarray:
    """Map features to their three principal components, as red, green and blue in [0.1, 0.9]: none is a background.

    The components are scaled together, from the 1st to the 99th percentile.
    Shape: (M, D) -> (M, 3)
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, :-4:-1]  # (D, 3)
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])  # eigenvectors have no sign
    low, high = np.percentile(centred @ axes, [1, 99], axis=0)
    return 0.1 + 0.8 * np.clip((centred @ axes - low) / np.maximum(high - low, 1e-12), 0, 1)


def _paint(cells: np.ndarray, colours: np.ndarray, views: Iterable[int], size: int) -> np.ndarray:
    """Draw the mean colour of each cell: rows (R, 4) of (view, row, column, .), (R, 3) -> (V, M, M, 4) uint8."""
    pictures = []
    for view in views:
        is_here = cells[:, 0] == view
        total = np.zeros((size, size, 4))
        ones = np.ones((is_here.sum(), 1))
        np.add.at(total, tuple(cells[is_here, 1:3].T), np.hstack([colours[is_here], ones]))
        pictures.append(total / np.maximum(total[..., 3:], 1))
    return np.rint(255 * np.stack(pictures)).astype(np.uint8)


def _title(name: str) -> str:
    """Return the name of a shape with that of its synset in words, where that is known."""
    category, _, shape = name.partition("/")
    return f"{CATEGORY_NAMES.get(category, category)}/{shape}"
