"""Clouds far from the origin: their detail outlives the conversion to float32, in every reader."""

import re
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import trimesh
from plyfile import PlyData, PlyElement

from datasets.labelled.modelnet40 import ModelNet40
from datasets.parts.shapenet_part import ShapeNetPart
from datasets.precision import far_warning, to_float32
from datasets.shapes.shape_folder import read_shape
from tests.support.entry_programs import write_encoder
from tests.support.tiny_trees import write_h5, write_modelnet40, write_shapenet_part
from utils.evaluation.labelled_set import size_warning
from utils.pretrained import load

PLACE = np.array([500000.0, 120.0, 5400000.0])  # metres east, up and north, as surveys store them


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(97, 3))


def _write(path: Path, points: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, points)
    elif path.suffix == ".ply":
        vertices = np.array([tuple(row) for row in points], dtype=[(axis, "f8") for axis in "xyz"])
        PlyData([PlyElement.describe(vertices, "vertex")]).write(path)
    elif path.suffix == ".off":
        trimesh.Trimesh(points, np.arange(96).reshape(-1, 3), process=False).export(path, digits=12)
    else:
        np.savetxt(path, points)
    return path


def _shape(points: np.ndarray) -> np.ndarray:
    return points - (points.min(axis=0) + points.max(axis=0)) / 2


@pytest.mark.parametrize("suffix", [".npy", ".ply", ".xyz", ".off"])
def test_far_doubles_keep_their_detail_in_every_file_of_a_shape(tmp_path, cloud, suffix):
    near, far = (read_shape(_write(tmp_path / f"{i}{suffix}", cloud + i * PLACE)) for i in (0, 1))
    assert far.dtype == np.float32
    np.testing.assert_allclose(_shape(far), _shape(near), atol=1e-6)


@pytest.mark.parametrize("suffix", [".npy", ".ply"])
def test_far_whole_numbers_keep_their_detail(tmp_path, cloud, suffix):
    near, far = ((1000 * cloud + i * np.array([500_000_000, 120, 540_000_000])).round().astype("i4") for i in (0, 1))
    paths = [tmp_path / f"{number}{suffix}" for number in (0, 1)]
    for path, points in zip(paths, (near, far)):
        if suffix == ".npy":
            np.save(path, points)
        else:
            vertices = np.array([tuple(row) for row in points], dtype=[(axis, "i4") for axis in "xyz"])
            PlyData([PlyElement.describe(vertices, "vertex")]).write(path)
    np.testing.assert_allclose(_shape(read_shape(paths[1])), _shape(read_shape(paths[0])), atol=1e-3)


def test_far_clouds_of_part_sets_are_centred(tmp_path, cloud):
    sets = []
    for i in (0, 1):
        folder = write_shapenet_part(tmp_path / str(i))
        with h5py.File(folder / "ply_data_test0.h5", "r+") as file:
            points = file["data"][:].astype("f8") + i * PLACE
            del file["data"]
            file["data"] = points
        sets.append(ShapeNetPart(folder, "test", num_points=50).points.numpy())
    for near, far in zip(*sets):
        np.testing.assert_allclose(_shape(far), _shape(near), atol=1e-6)


def test_near_doubles_stay_where_they_are(cloud):
    np.testing.assert_array_equal(to_float32(cloud + 5), (cloud + 5).astype(np.float32))


def test_normalised_labelled_clouds_are_centred_before_they_are_cast(tmp_path, cloud):
    sets = []
    for i in (0, 1):
        folder = write_modelnet40(tmp_path / str(i))
        for number in (0, 1):
            write_h5(folder / f"ply_data_train{number}.h5", data=cloud[None] + i * PLACE, label=np.zeros((1, 1)))
        sets.append(ModelNet40(tmp_path / str(i), "train", num_points=97, normalize=True).points.numpy())
    np.testing.assert_allclose(sets[1], sets[0], atol=1e-6)


def test_features_of_an_array_do_not_depend_on_its_place_and_a_raw_far_one_is_warned_about(tmp_path, cloud):
    encoder = load(write_encoder(tmp_path / "w.pth"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        near, far = (encoder(cloud[None] + i * PLACE, normalize=True) for i in (0, 1))
    np.testing.assert_allclose(far, near, rtol=1e-3, atol=1e-4)
    with pytest.warns(UserWarning, match="pass normalize=True"):
        encoder(cloud[None] + PLACE)


def test_a_far_cloud_is_warned_about_with_its_cost(cloud):
    clouds = np.stack([cloud, cloud + PLACE])
    expected = r"1 of 2 clouds lie more than 16 times their size from the origin, the farthest [\d.]+e\+05 times: "
    expected += r"float32 keeps their coordinates to \d+ % of their size; pass --normalize$"
    assert re.match(expected, size_warning(clouds))
    assert far_warning(clouds[:1], "") is None
