"""The published layout of multi-view pre-training, written here by its definition."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch

from datasets.pairs.modelnet_views import ModelNetViews
from datasets.pairs.packed_render import PackedRender
from datasets.pairs.parsed_cache import ParsedCache
from datasets.pairs.pixel_pairs import PixelPairs
from tests.support.published_views import FOCAL, POINTS, SIZE, look, spiral, write_shape
from tests.support.tiny_trees import pack
from utils.training.data_order import order_digest


@pytest.fixture
def root(tmp_path):
    """Three shapes of two classes with three views, one without any, and one of the test split."""
    root = tmp_path / "ModelNet40"
    for seed, name in enumerate(("sofa/sofa_2", "bed/bed_10", "bed/bed_9")):
        write_shape(root, name, seed)
    write_shape(root, "bed/bed_7", 5, views=())
    write_shape(root, "bed/bed_1", 6, split="test")
    (root / "modelnet_id.txt").write_text("sofa\t1\nbed\t0\ntable\t2\n")
    return root


def test_shapes_of_the_train_split_that_have_a_view_are_listed_in_order(root):
    (root.parent / "ModelNet40_MV/bed/train/bed_9.off/pix_point_1.txt").unlink()
    data = ModelNetViews(root)
    assert [str(shape) for shape in data.shapes] == ["bed/bed_10", "bed/bed_9", "sofa/sofa_2"]
    assert [shape.views for shape in data.shapes] == [(0, 1, 10), (0, 10), (0, 1, 10)]
    assert data.left_out == ["bed/bed_7"]
    assert data.view_file(0, 2).endswith("/bed/train/bed_10.off/view_10.png")
    assert len(ModelNetViews(root, limit=2)) == 2


def test_clouds_are_turned_to_y_up_and_not_mirrored(root):
    """Turned back by hand, and seen from the front they lie in the picture."""
    data = ModelNetViews(root)
    x, y, z = data.read_points(2).T
    np.testing.assert_allclose(np.column_stack([x, -z, y]), spiral(0), atol=1e-6)
    depth = 4 - z  # azimuth 0: z of a y-up cloud points to the viewer
    row, column = np.floor(SIZE / 2 - FOCAL * (y - 1) / depth), np.floor(SIZE / 2 + FOCAL * x / depth)
    assert (data.read_pixels(2, 0)[:, row.astype(int), column.astype(int)] == 255).float().mean() > 0.99


def test_pairs_are_those_of_the_files(root):
    data = ModelNetViews(root)
    pairs = data.read_pixel_pairs(1)
    points = spiral(2)
    expected = []
    for slot, view in enumerate((0, 1, 10)):
        row, column, _ = look(points, view * np.pi / 6)
        expected += [[slot, row[i], column[i], i] for i in range(view % 3, POINTS, 3)]
    assert pairs.rows(32).tolist() == expected
    assert pairs.fault(POINTS, 3) is None
    cells = np.array(expected)[:, 1:3]
    assert (pairs.rows(16)[:, 1:3] == cells // 2).all()
    assert (pairs.rows(64)[:, 1:3] == cells * 2 + 1).all()  # the middle of a cell is the corner of a smaller one


def test_items_hold_clouds_and_pictures(root):
    data = ModelNetViews(root, num_points=64, image_size=32)
    assert data[1]["aug_a"].shape == (64, 3)
    assert data[1]["image"].shape == (3, 32, 32)
    raw = ModelNetViews(root, augment=False)
    assert raw.view_size == (32, 32)
    assert raw[0]["image"].dtype == torch.uint8


def test_a_packed_file_of_it_gives_the_same(root, tmp_path):
    (root.parent / "ModelNet40_MV/bed/train/bed_9.off/pix_point_1.txt").unlink()
    views, file = ModelNetViews(root, image_size=32), PackedRender(pack(root, tmp_path / "all.h5"), image_size=32)
    assert [file.file.name(index) for index in range(3)] == [str(shape) for shape in views.shapes]
    assert [file.file.view_name(1, view) for view in range(2)] == ["view_0.png", "view_10.png"]
    for index in range(3):
        for found, expected in zip(file[index].values(), views[index].values(), strict=True):
            assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected))
        pairs = zip(views.read_pixel_pairs(index), file.read_pixel_pairs(index), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
    assert order_digest(views) == order_digest(file)


def test_text_is_parsed_once_and_again_when_it_changes(root, monkeypatch):
    first = ModelNetViews(root).read_pixel_pairs(0)
    calls = []
    monkeypatch.setattr("datasets.pairs.modelnet_views.read_shape", lambda path: calls.append(path) or spiral(9))
    again = ModelNetViews(root)
    assert all(np.array_equal(a, b) for a, b in zip(first, again.read_pixel_pairs(0), strict=True))
    again.read_points(0)
    assert calls == []
    kept = root.parent / "ModelNet40_MV/.crosspoint_cache/bed/bed_10.npz"
    assert [path.name for path in kept.parent.iterdir()] == ["bed_10.npz"]
    kept.write_bytes(kept.read_bytes()[:-50])
    again.read_points(0)
    (root.parent / "ModelNet40_MV/bed/train/bed_10.off/pix_point_1.txt").write_text("3 4 5\n")
    assert again.read_pixel_pairs(0).per_view.tolist() == [344, 1, 344]
    assert len(calls) == 2


def test_without_a_writable_folder_text_is_kept_in_memory(tmp_path):
    source = tmp_path / "a.txt"
    source.write_text("1")
    (tmp_path / "file").touch()
    cache = ParsedCache(tmp_path / "file" / "cache")  # below a file nobody can write, root included
    calls = []
    for _ in range(3):
        (values,) = cache.read("a", [source], ["x"], lambda: calls.append(1) or {"x": np.arange(3)})
    assert values.tolist() == [0, 1, 2]
    assert len(calls) == 1


def test_it_can_be_sent_to_workers(root):
    data = ForkingPickler.loads(ForkingPickler.dumps(ModelNetViews(root, num_points=64)))
    assert isinstance(data.read_pixel_pairs(0), PixelPairs)


def test_the_order_of_samples_has_a_digest_that_knows_views(root):
    before = order_digest(ModelNetViews(root))
    (root.parent / "ModelNet40_MV/bed/train/bed_9.off/view_1.png").unlink()
    assert order_digest(ModelNetViews(root)) != before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("3 4 5\n3 32 5\n", r"pix_point_0\.txt: pair 2 is 3 32 5, expected a row and a column below 32"),
        (f"3 4 {POINTS}\n", rf"pair 1 is 3 4 {POINTS}, .* a point below {POINTS}, the number of points"),
        ("-1 4 5\n", "pair 1 is -1 4 5"),
        ("1.5 4 5\n", "pair 1 is 1.5 4 5"),
        ("nan 4 5\n", "pair 1 is nan 4 5"),
        ("3 4\n", r"pix_point_0\.txt: expected three whole numbers a line"),
        ("3 4 x\n", "expected three whole numbers a line"),
    ],
)
def test_pairs_at_fault_are_refused_by_name(root, text, problem):
    (root.parent / "ModelNet40_MV/bed/train/bed_10.off/pix_point_0.txt").write_text(text)
    with pytest.raises(ValueError, match=problem):
        ModelNetViews(root).read_pixel_pairs(0)


def test_numbers_as_numpy_writes_them_and_views_without_pairs_are_read(root):
    folder = root.parent / "ModelNet40_MV/bed/train/bed_10.off"
    np.savetxt(folder / "pix_point_0.txt", [[31, 0, 7]])
    (folder / "pix_point_1.txt").write_text("")
    pairs = ModelNetViews(root).read_pixel_pairs(0)
    assert pairs.rows(32)[0].tolist() == [0, 31, 0, 7]
    assert pairs.per_view.tolist() == [1, 0, 344]


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        (lambda root: (root / "modelnet_id.txt").unlink(), FileNotFoundError, r"no \S*modelnet_id\.txt, which names"),
        (lambda root: (root / "modelnet_id.txt").write_text("bed 0\n"), ValueError, "expected a name, a tab"),
        (lambda root: (root / "modelnet_id.txt").write_text("bed\t0\n"), ValueError, "does not name sofa"),
        (lambda root: (root.parent / "ModelNet40_MV").rename(root.parent / "x"), FileNotFoundError, "none of the 4"),
        (lambda root: [path.unlink() for path in root.glob("*/train/*")], FileNotFoundError, "no clouds"),
    ],
)
def test_an_incomplete_layout_says_what_is_missing(root, change, error, problem):
    change(root)
    with pytest.raises(error, match=problem):
        ModelNetViews(root)
