"""Features of a teacher on disk."""

import errno
import os
from unittest.mock import patch

import numpy as np
import pytest
import torch

from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.transforms.image_transforms import plain_image
from datasets.transforms.point_transforms import unit_sphere
from models.distributed import get_rank
from models.layers.farthest_points import farthest_order
from models.weights.teacher_file import load_teacher
from tests.support.multiview_runs import write_taught, write_teacher
from tests.support.several_processes import run_in_processes
from tests.support.tiny_trees import write_ply
from utils.multiview.cached_arrays import INDEX
from utils.multiview.teacher_cache import TeacherCache, build_cache

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return load_teacher(write_teacher(tmp_path_factory.mktemp("teacher") / "t.pth"))


def build(root, out, teacher, **options):
    lines = []
    sizes = {"num_views": 2, "image_size": 8, "layer": 4, "num_points": 50, "skips_bad": False} | options
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


def test_keeps_the_maps_of_an_inner_layer(tmp_path, teacher):
    root = write_taught(tmp_path / "data")
    last, _ = build(root, tmp_path, teacher)
    inner, _ = build(root, tmp_path, teacher, layer=3)
    source, net = ShapeNetRender(root), teacher.resnet
    images = torch.stack([plain_image(source.read_pixels(3, view), 8) for view in range(2)])
    with torch.inference_mode():
        x = net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(images))))))
        expected = net.layer3(x).numpy().astype(np.float16)
    maps, target = inner.features(3)
    assert np.allclose(maps, expected, rtol=2e-3, atol=1e-4)
    assert np.array_equal(target, last.features(3)[1])


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
    (cache.folder / "target.npy").unlink()
    with pytest.raises(ValueError, match=f"target.npy is damaged.*delete {cache.folder}"):
        TeacherCache(cache.folder).features(0)


def test_a_shape_that_cannot_be_read_is_left_out_where_that_is_asked_for(tmp_path, teacher):
    root = write_taught(tmp_path / "data")
    whole, _ = build(root, tmp_path, teacher)
    write_ply(root / "ShapeNet/02/03.ply", np.ones((100, 3), np.float32))
    with pytest.raises(ValueError, match="02/03.ply: all points coincide"):
        build(root, tmp_path, teacher)
    (root / "ShapeNetRendering/02/06/rendering/01.png").write_bytes(b"none")
    found, lines = build(root, tmp_path, teacher, skips_bad=True)
    assert "could not see 2 shapes, first" in lines[1]
    assert "02/03.ply: all points coincide" in lines[1]
    for index in range(7):
        if index in (3, 6):
            with pytest.raises(ValueError, match=f"could not be read .* delete {found.folder}"):
                found.features(index)
        else:
            assert np.array_equal(found.features(index)[0], whole.features(index)[0])
            assert np.array_equal(found.rank(index), whole.rank(index))


def test_a_full_disk_is_reported(tmp_path, teacher):
    fault = OSError(errno.ENOSPC, "No space left on device")
    refused = patch("os.posix_fallocate", side_effect=fault, create=True)
    with refused, pytest.raises(OSError, match="make room.*maps.npy"):
        build(write_taught(tmp_path / "data"), tmp_path / "cache", teacher)
    assert not list(tmp_path.glob("cache/*/*.npy"))


def build_own(folder):
    """Let a rank see its own copy of the shapes, which has dates of its own."""
    copy = write_taught(folder / f"copy{get_rank()}", ["02/00", "02/01", "02/02"])
    os.utime(copy / "ShapeNet/02/00.ply", (get_rank(), get_rank()))
    cache, _ = build(copy, folder, load_teacher(folder / "t.pth"))
    return [cache.features(index)[0] for index in range(3)], cache.teacher


def test_several_processes_compute_one(tmp_path):
    teacher = load_teacher(write_teacher(tmp_path / "t.pth"))
    found = run_in_processes(build_own, 2, tmp_path, tmp_path)
    alone, _ = build(tmp_path / "copy0", tmp_path / "alone", teacher)
    for maps, digest in found:
        assert digest == alone.teacher
        assert all(np.array_equal(maps[index], alone.features(index)[0]) for index in range(3))


def test_too_few_views_are_refused(tmp_path, teacher):
    with pytest.raises(ValueError, match="2 views, --views 3 are asked for"):
        build(write_taught(tmp_path / "data"), tmp_path, teacher, num_views=3)
