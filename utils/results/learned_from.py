"""The shapes that shipped weights learned from: trees, compared with the data of the run as far as these are there."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets.pairs.render_pairs import RenderPairs
from datasets.shapes.ply_clouds import read_points
from datasets.shapes.shape_tree import TreeShape, list_shapes
from models.weights.weight_file import read_weights
from utils.pretraining.seen_data import open_seen_data, place_of_data
from utils.run.names import STATE_FILE
from utils.training.data_order import order_digest


class Tree(NamedTuple):
    """A tree of shapes, what they are and their licence."""

    folder: Path
    name: str
    licence: str


class Source(NamedTuple):
    """Shapes that the weights learned from: what they are, their licence and their number."""

    name: str
    licence: str
    shapes: int


def sources_of(
    run: Path, flags: Mapping[str, Any], trees: Sequence[Tree], report: Callable[[str], None] = print
) -> list[Source]:
    """Count the shapes of each tree that a run saw: those whose cloud, number for number, is in its data.

    Args:
        run: folder of the run.
        flags: of its training, whose data are looked for where it found them.
        trees: all that it saw, each as it is or as data.merge links it.
        report: called with a line where a tree holds more, and where it cannot be known what the run saw: then all
            shapes of the trees are counted.
    Raises:
        FileNotFoundError: no such tree.
        ValueError: a tree has no name or licence, the run saw none of it, or a shape of the run is in no tree or two.
    """
    for tree in trees:
        if not tree.name.strip() or not tree.licence.strip():
            raise ValueError(f"{tree.folder}: say what these shapes are and under which licence they may be used")
    listed = [list_shapes(tree.folder, with_views=False) for tree in trees]
    counts = [len(shapes) for shapes in listed]
    data, place = open_seen_data(flags), place_of_data(flags)
    if data is None:
        report(f"warning: the data of {run}, {place}, cannot be read here: whether it saw these trees is not known")
    elif _has_changed(run, flags, data):
        report(
            f"warning: {place} no longer holds what {run} was trained on, by {STATE_FILE}: whether it saw these trees "
            "is not known"
        )
    else:
        counts = _compare(f"{place}, the data of {run}", data, trees, listed, report)
    return [Source(tree.name, tree.licence, count) for tree, count in zip(trees, counts)]


def _has_changed(run: Path, flags: Mapping[str, Any], data: RenderPairs) -> bool:
    """Return whether a run's state, where there is one, notes other shapes than the data hold now."""
    state = run / STATE_FILE
    noted = read_weights(state).get("data_order") if state.is_file() else None
    if noted in (None, order_digest(data)):
        return False
    with_images = open_seen_data(flags, with_images=True)  # the digest then counts pictures too
    return with_images is None or order_digest(with_images) != noted


def _compare(
    where: str,
    data: RenderPairs,
    trees: Sequence[Tree],
    listed: Sequence[list[TreeShape]],
    report: Callable[[str], None],
) -> list[int]:
    """Return how many shapes of each tree are in the data, which lie `where`; raises as `sources_of`."""
    numbers = _numbers_by_name(data)
    left, counts = {*range(len(data))}, []
    for tree, shapes in zip(trees, listed):
        seen, namesakes = _seen_of(data, numbers, tree, shapes, left)
        if not seen:
            found = f"none of its {len(shapes)} shapes, first {shapes[0]}, is there"
            if namesakes:
                found = (
                    f"{len(namesakes)} of its {len(shapes)} shapes have a namesake there, first {namesakes[0]}"
                    ", but none has the same cloud"
                )
            raise ValueError(f"{tree.folder} is no part of {where}: {found}; pass the trees that this run saw")
        if more := len(shapes) - len(seen):
            report(f"{more} of the {len(shapes)} shapes in {tree.folder} are not in {where}: they are not counted")
        if again := [number for number in seen if number not in left]:
            raise ValueError(
                f"{len(again)} shapes of {tree.folder}, first {data.name(again[0])} of {where}, are in a --tree before "
                "it too: give each tree once, or its shapes are counted twice"
            )
        left.difference_update(seen)
        counts.append(len(seen))
    if left:
        raise ValueError(
            f"{len(left)} of the {len(data)} shapes of {where}, first {data.name(min(left))}, are in no --tree: give "
            "the tree that holds them too, for the card names every source with its licence"
        )
    return counts


def _numbers_by_name(data: RenderPairs) -> dict[str, list[int]]:
    """Return the numbers of the shapes by their names, and by those in the trees that data.merge linked them from.

    Each merge puts TREE__ before a name, one over the other where a merged tree is merged again.
    """
    numbers = defaultdict(list)
    for number in range(len(data)):
        words = data.name(number).split("__")
        for first in range(len(words)):
            numbers["__".join(words[first:])].append(number)
    return numbers


def _seen_of(
    data: RenderPairs, numbers: Mapping[str, list[int]], tree: Tree, shapes: Sequence[TreeShape], left: Collection[int]
) -> tuple[list[int], list[TreeShape]]:
    """Return the numbers of the shapes of a tree that are in the data, and the shapes that have a namesake there.

    Of several with the same cloud one is taken that is `left`, which no tree before has.
    """
    seen, namesakes = [], []
    for shape in shapes:
        candidates = sorted(numbers.get(str(shape), ()), key=lambda number: number not in left)
        if not candidates:
            continue
        namesakes.append(shape)
        points = read_points(shape.cloud_path(tree.folder))
        equal = (number for number in candidates if np.array_equal(data.read_points(number), points))
        if (number := next(equal, None)) is not None:
            seen.append(number)
    return seen, namesakes
