"""What data.check_data says of pairs of pixels and points."""

from functools import partial

import numpy as np
import pytest
import trimesh

from data.rendering.mesh_conversion import Settings, convert_shape
from datasets.pairs.pair_tables import PAIRS
from datasets.shapes.mesh_files import find_meshes
from tests.support.check_helpers import check
from tests.support.damage import cut, entry, flip
from tests.support.tiny_trees import pack
from utils.files import read_npz, write_npz

TINY = Settings(num_views=3, size_px=21, num_points=97, supersample=1, up="y", seed=0)


@pytest.fixture
def root(tmp_path):
    """Two rendered boxes with pairs, below a folder `tree`."""
    (tmp_path / "in").mkdir()
    for name, height in (("box", 2), ("slab", 0.5)):
        trimesh.creation.box(extents=(1, height, 3)).export(tmp_path / "in" / f"{name}.off")
    for mesh_file in find_meshes(tmp_path / "in").found:
        convert_shape(mesh_file, settings=TINY, out=tmp_path / "tree", with_pairs=True)
    return tmp_path / "tree"


def table_of(root):
    return root / "ShapeNetRendering/meshes/box" / PAIRS


def change(array, edit, path):
    """Edit an array of a table in place."""
    arrays = read_npz(path)
    edit(arrays[array])
    write_npz(path, **arrays)


def drop_a_view(path):
    arrays = read_npz(path)
    write_npz(path, **arrays | {"starts": arrays["starts"][:-1]})


def count(root):
    arrays = [read_npz(path) for path in root.rglob(PAIRS)]
    return sum(len(table["point"]) for table in arrays), [int(table["starts"][-1]) for table in arrays]


def test_pairs_are_counted_and_few_of_them_noted_in_a_tree_and_its_packed_file(root, tmp_path, capsys):
    total, of_shapes = count(root)
    for place in (root, pack(root, tmp_path / "all.h5")):
        status, text = check(place, capsys)
        assert status == 0
        assert f"pairs of pixels and points: {total} of 2 shapes, a view: " in text
        assert "note: 6 of 6 views have fewer than 129 pairs, which the published code leaves out; their 2 sh" in text
        assert "note: 2 shapes have fewer than 512 pairs in all views together" in text
        assert all(f"({number})" in text for number in of_shapes)


def test_shapes_without_pairs_are_noted_where_others_have_them(root, capsys):
    table_of(root).unlink()
    assert "note: 1 shapes have no pairs.npz: meshes/box" in check(root, capsys)[1]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (partial(change, "point", lambda point: point.__setitem__(5, 97)), "it names point 97, the cloud has 97"),
        (partial(change, "place", lambda place: place.__iadd__(np.uint16(3))), "of view 0 are not where cameras.npz"),
        (partial(change, "place", lambda place: place.__setitem__(-1, 0)), "1 of {} pairs of view 2 are not where"),
        (partial(change, "point", lambda point: point.sort()), "of view 0 are not where cameras.npz projects"),
        (drop_a_view, "it has pairs of 2 views, the shape has 3"),
        (cut(-30), "is no table of pairs"),
        (flip(b"point.npy"), "is no table of pairs"),
    ],
)
def test_a_table_at_fault_is_named(root, capsys, damage, problem):
    starts = read_npz(table_of(root))["starts"]
    damage(table_of(root))
    status, text = check(root, capsys)
    (line,) = [line for line in text.splitlines() if line.startswith("  FAULT: ")]
    assert status == 1
    assert f"FAULT: {table_of(root)}" in line
    assert problem.format(starts[3] - starts[2]) in line
    assert "delete it and make it again: run the command that made" in line


def test_damaged_pairs_of_a_packed_file_are_named(root, tmp_path, capsys):
    path = pack(root, tmp_path / "all.h5")
    entry("pairs", 20, 0)(path)
    entry("pairs", 21, 0)(path)
    status, text = check(path, capsys)
    assert status == 1
    assert "is damaged: the pairs of meshes/box" in text
