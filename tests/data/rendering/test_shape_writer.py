"""data.rendering.shape_writer: the files of one shape."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import trimesh
from PIL import Image

from data.rendering import shape_writer
from data.rendering.orbit import orbit_cameras
from data.rendering.shape_writer import encode_depth, is_finished, write_shape
from datasets.shapes.cameras import decode_depth, read_cameras


def _shape(num_views=3):
    rng = np.random.default_rng(0)
    cameras = orbit_cameras(num_views, 11, rng)
    views = []
    for _ in cameras:
        depth = rng.uniform(1.4, 2.6, (11, 11)).astype(np.float32)
        depth[rng.random((11, 11)) < 0.5] = np.inf
        views.append((rng.integers(0, 256, (11, 11, 4), dtype=np.uint8), depth))
    return rng.random((7, 3)).astype(np.float32), views, cameras


def test_everything_written_reads_back(tmp_path):
    points, views, cameras = _shape()
    write_shape(tmp_path, "02", "a", points, views, cameras)
    np.testing.assert_array_equal(trimesh.load(tmp_path / "ShapeNet/02/a.ply").vertices, points)
    folder = tmp_path / "ShapeNetRendering/02/a"
    assert sorted(path.name for path in (folder / "rendering").iterdir()) == ["00.png", "01.png", "02.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "rendering/01.png")), views[1][0])
    for camera, read in zip(cameras, read_cameras(folder / "cameras.npz"), strict=True):
        np.testing.assert_array_equal(read.intrinsics, camera.intrinsics)
        np.testing.assert_array_equal(read.extrinsics, camera.extrinsics)
        assert read.size == camera.size
    with np.load(folder / "depth.npz") as arrays:
        np.testing.assert_allclose(decode_depth(arrays), [depth for _, depth in views], atol=1e-5)


def test_cloud_is_a_binary_ply_of_float_coordinates_alone(tmp_path):
    write_shape(tmp_path, "02", "a", *_shape())
    header = (tmp_path / "ShapeNet/02/a.ply").read_bytes().split(b"end_header")[0].decode()
    assert "binary_little_endian" in header
    properties = [line for line in header.splitlines() if line.startswith("property")]
    assert properties == ["property float x", "property float y", "property float z"]


def test_depth_steps_are_finer_than_a_ten_thousandth(tmp_path):
    depth = np.full((2, 3, 5), np.inf)
    depth[:, 1] = np.random.default_rng(0).uniform(1.4, 2.6, (2, 5))
    arrays = encode_depth(depth)
    assert arrays["depth"].dtype == np.uint16
    assert ((arrays["depth"] > 0) == np.isfinite(depth)).all()
    assert arrays["scale"] < 1e-4
    np.testing.assert_allclose(decode_depth(arrays), depth, atol=1e-5)


def test_views_without_a_hit_have_depth_zero_everywhere():
    assert not encode_depth(np.full((1, 4, 4), np.inf))["depth"].any()


def test_names_of_more_than_a_hundred_views_sort_like_the_cameras(tmp_path):
    write_shape(tmp_path, "02", "a", *_shape(num_views=101))
    names = sorted(path.name for path in (tmp_path / "ShapeNetRendering/02/a/rendering").iterdir())
    assert names[0] == "000.png"
    assert names[100] == "100.png"


@pytest.mark.parametrize("step", ["_write_npz", "encode_depth", "_camera_arrays"])
def test_a_shape_stopped_half_way_does_not_count(tmp_path, step):
    with patch.object(shape_writer, step, side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        write_shape(tmp_path, "02", "a", *_shape())
    assert not is_finished(tmp_path, "02", "a")
    assert not (tmp_path / "ShapeNetRendering").exists()  # readers see nothing of it
    write_shape(tmp_path, "02", "a", *_shape())
    assert is_finished(tmp_path, "02", "a")


def test_a_shape_stopped_before_its_cloud_is_in_place_does_not_count(tmp_path):
    rename = Path.rename

    def stop_at_cloud(path, target):
        if Path(target).suffix == ".ply" and "ShapeNet" in Path(target).parts:
            raise KeyboardInterrupt
        return rename(path, target)

    with patch.object(Path, "rename", stop_at_cloud), pytest.raises(KeyboardInterrupt):
        write_shape(tmp_path, "02", "a", *_shape())
    assert (tmp_path / "ShapeNetRendering/02/a").is_dir()
    assert not is_finished(tmp_path, "02", "a")


def test_writing_again_replaces_all_views(tmp_path):
    write_shape(tmp_path, "02", "a", *_shape(num_views=3))
    write_shape(tmp_path, "02", "a", *_shape(num_views=2))
    assert len(list((tmp_path / "ShapeNetRendering/02/a/rendering").iterdir())) == 2


def test_a_cloud_without_views_is_not_finished(tmp_path):
    (tmp_path / "ShapeNet/02").mkdir(parents=True)
    (tmp_path / "ShapeNet/02/a.ply").touch()
    assert not is_finished(tmp_path, "02", "a")
