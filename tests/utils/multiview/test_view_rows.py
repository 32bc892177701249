"""What an image teacher says of whole shapes: values, and what becomes of the cache on disk."""

import os

import numpy as np
import pytest
import torch

from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.transforms.image_transforms import plain_image
from tests.support.several_processes import run_in_processes
from tests.support.tiny_trees import write_shapenet
from tests.support.toy_teacher import ToyTeacher
from utils.multiview.view_rows import ViewRows, build_view_rows

SHAPES = [f"02/{i:02d}" for i in range(5)]


@pytest.fixture
def root(tmp_path):
    return write_shapenet(tmp_path / "data", SHAPES, num_views=3)


def build(root, out, teacher=None, image_size=8, **options):
    lines = []
    place = {"device": torch.device("cpu"), "skips_bad": False, "report": lines.append} | options
    return build_view_rows(out, ShapeNetRender(root), teacher or ToyTeacher(), image_size=image_size, **place), lines


def by_definition(root, index):
    source = ShapeNetRender(root)
    views = [plain_image(source.read_pixels(index, view), 8) for view in range(source.num_views(index))]
    features = ToyTeacher()(torch.stack(views))
    return torch.cat([features.mean(dim=0), features.amax(dim=0)]).numpy()


def test_a_row_is_mean_and_maximum_over_all_views_standardised_over_the_shapes(root, tmp_path):
    (root / "ShapeNetRendering/02/03/rendering/02.png").unlink()  # numbers of views may differ
    rows, _ = build(root, tmp_path)
    expected = np.stack([by_definition(root, index) for index in range(5)]).astype(np.float64)
    varied = expected.std(axis=0) > 1e-12
    assert varied.tolist() == [True, True, True, False] * 2
    expected -= expected.mean(axis=0)
    expected[:, varied] /= expected[:, varied].std(axis=0)
    found = np.stack([rows.row(index) for index in range(5)])
    assert (rows.dim, found.dtype) == (8, np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_rows_are_computed_once_and_again_when_their_origin_changes(root, tmp_path):
    first, lines = build(root, tmp_path)
    assert "all views of 5 shapes, computed into" in lines[0]
    again, lines = build(root, tmp_path)
    assert (again.folder, "found in" in lines[0]) == (first.folder, True)
    others = [build(root, tmp_path, ToyTeacher(2.0))[0], build(root, tmp_path, image_size=9)[0]]
    os.utime(root / "ShapeNetRendering/02/03/rendering/02.png", (1, 1))
    others.append(build(root, tmp_path)[0])
    assert len({rows.folder for rows in [first, *others]}) == 4


def test_a_shape_that_cannot_be_read_is_left_out_where_that_is_asked_for(root, tmp_path):
    (root / "ShapeNetRendering/02/01/rendering/01.png").write_bytes(b"none")
    with pytest.raises(ValueError, match="02/01/rendering/01.png"):
        build(root, tmp_path)
    rows, lines = build(root, tmp_path, skips_bad=True)
    assert "could not see 1 shapes, first" in lines[1]
    with pytest.raises(ValueError, match=f"could not be read .* delete {rows.folder}"):
        rows.row(1)
    left = np.stack([rows.row(index) for index in (0, 2, 3, 4)])
    np.testing.assert_allclose(left.mean(axis=0), 0, atol=1e-6)
    (rows.folder / "rows.npy").write_bytes(b"cut")
    with pytest.raises(ValueError, match=f"rows.npy is damaged.*delete {rows.folder}"):
        ViewRows(rows.folder).row(0)


def build_here(root, out):
    rows, _ = build(root, out)
    return [rows.row(index) for index in range(5)]


def test_several_processes_compute_one(root, tmp_path):
    alone, _ = build(root, tmp_path / "alone")
    for rows in run_in_processes(build_here, 2, tmp_path, root, tmp_path / "shared"):
        assert all(np.array_equal(rows[index], alone.row(index)) for index in range(5))
