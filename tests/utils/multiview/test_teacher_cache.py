"""Features of a teacher on disk."""

import os

import numpy as np
import pytest
import torch

from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.transforms.image_transforms import plain_image
from datasets.transforms.point_transforms import unit_sphere
from models.layers.farthest_points import farthest_order
from models.weights.teacher_file import load_teacher
from tests.support.multiview_runs import write_taught, write_teacher
from utils.multiview.teacher_cache import INDEX, build_cache

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return load_teacher(write_teacher(tmp_path_factory.mktemp("teacher") / "t.pth"))


def build(root, out, teacher, **options):
    lines = []
    sizes = {"num_views": 2, "image_size": 8, "num_points": 50} | options
    return build_cache(out, ShapeNetRender(root), teacher, device=CPU, report=lines.append, **sizes), lines


def test_holds_what_the_teacher_says_of_each_shape_alone(tmp_path, teacher):
    root = write_taught(tmp_path / "data")
    cache, _ = build(root, tmp_path, teacher)
    source = ShapeNetRender(root)
    for index in (0, 6):
        images = torch.stack([plain_image(source.read_pixels(index, view), 8) for view in range(2)])[None]
        with torch.inference_mode():
            maps = teacher.maps(images)
            target = teacher.embed_maps(maps)
        found_maps, found_target = cache.features(index)
        assert np.array_equal(found_maps, maps[0].numpy().astype(np.float16))
        assert np.array_equal(found_target, target[0].numpy())
        cloud = torch.from_numpy(unit_sphere(source.read_points(index)[:50]))[None]
        assert np.array_equal(cache.rank(index)[farthest_order(cloud)[0]], np.arange(50))


def test_does_not_depend_on_the_other_shapes(tmp_path, teacher):
    all_shapes, _ = build(write_taught(tmp_path / "all"), tmp_path, teacher)
    one, _ = build(write_taught(tmp_path / "one", ["02/00"]), tmp_path, teacher)
    for found, expected in zip(one.features(0), all_shapes.features(0)):
        assert np.array_equal(found, expected)


def test_is_computed_once_and_again_when_its_origin_changes(tmp_path, teacher):
    root = write_taught(tmp_path / "data")
    first, lines = build(root, tmp_path, teacher)
    assert "7 shapes, 2 views each, computed into" in lines[0]
    again, lines = build(root, tmp_path, teacher)
    assert (again.folder, "found in" in lines[0]) == (first.folder, True)
    others = [build(root, tmp_path, teacher, num_views=1), build(root, tmp_path, teacher, num_points=40)]
    other = load_teacher(write_teacher(tmp_path / "other.pth", seed=1))
    others.append(build(root, tmp_path, other))
    picture = root / "ShapeNetRendering/02/03/rendering/01.png"
    os.utime(picture, (1, 1))
    others.append(build(root, tmp_path, teacher))
    assert len({cache.folder for cache, _ in [(first, []), *others]}) == 5


def test_an_unfinished_one_is_computed_again(tmp_path, teacher):
    root = write_taught(tmp_path / "data")
    cache, _ = build(root, tmp_path, teacher)
    (cache.folder / INDEX).unlink()
    (cache.folder / "maps.npy").write_bytes(b"cut")
    again, lines = build(root, tmp_path, teacher)
    assert "computed into" in lines[0]
    assert np.isfinite(again.features(0)[0]).all()


def test_damage_is_named(tmp_path, teacher):
    cache, _ = build(write_taught(tmp_path / "data"), tmp_path, teacher)
    path = cache.folder / "maps.npy"
    path.write_bytes(path.read_bytes()[:-100])
    again, _ = build(tmp_path / "data", tmp_path, teacher)
    with pytest.raises(ValueError, match=f"{path} is damaged.*delete {cache.folder}"):
        again.features(0)


def test_too_few_views_are_refused(tmp_path, teacher):
    with pytest.raises(ValueError, match="2 views, --views 3 are asked for"):
        build(write_taught(tmp_path / "data"), tmp_path, teacher, num_views=3)
