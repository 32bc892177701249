"""data.render_views: the whole program on tiny folders of meshes."""

import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from data import render_views
from data.rendering import raycast
from data.rendering.mesh_conversion import Settings, convert_shape
from data.rendering.raycast import Raycaster
from datasets.shapes.cameras import decode_depth, project, read_cameras
from datasets.shapes.mesh_files import find_meshes
from datasets.shapes.meshes import load_mesh, normalise_mesh
from tests.support.entry_programs import error_of
from tests.support.pickled_jobs import run_pickled
from tests.support.rendered_meshes import FLAGS, contents, render, write_meshes

TINY = Settings(num_views=2, size_px=21, num_points=97, supersample=2, up="y", seed=0)


def _convert(folder, out, **changes):
    """Convert all meshes of a folder with the settings TINY after changes; return their names below both trees."""
    meshes = find_meshes(folder).found
    for mesh_file in meshes:
        convert_shape(mesh_file, settings=replace(TINY, **changes), out=out)
    return [f"{mesh_file.synset}/{mesh_file.shape_id}" for mesh_file in meshes]


def _points(out, shape):
    return np.asarray(trimesh.load(out / f"ShapeNet/{shape}.ply").vertices)


@pytest.fixture
def in_process(monkeypatch):
    """Meshes are converted in this process."""
    monkeypatch.setattr(render_views, "run_isolated", run_pickled)


def test_a_folder_of_meshes_becomes_both_trees(tmp_path, capsys):
    assert render(write_meshes(tmp_path / "in"), "--out", tmp_path / "out") == 0
    expected = {"render_views.json"}
    for shape in ("meshes/box", "round/ball"):
        of_views = ("rendering/00.png", "rendering/01.png", "cameras.npz", "depth.npz", "mesh.json")
        expected |= {f"ShapeNet/{shape}.ply", *(f"ShapeNetRendering/{shape}/{name}" for name in of_views)}
    assert set(contents(tmp_path / "out")) == expected
    printed = capsys.readouterr().out
    assert "2 shapes, 4 views in" in printed
    assert "views/s per core" in printed


@pytest.mark.usefixtures("in_process")
def test_failures_are_listed_and_the_rest_is_written(tmp_path, capsys):
    folder = write_meshes(tmp_path / "in")
    (folder / "empty.obj").touch()
    (folder / "text.off").write_text("hello")
    assert render(folder, "--out", tmp_path / "out") == 1
    errors = capsys.readouterr().err
    assert f"failed: {folder / 'empty.obj'}: expected triangles" in errors
    assert f"failed: {folder / 'text.off'}: expected the word OFF at its start" in errors
    assert "2 of 4 meshes are written, 2 failed" in errors
    assert (tmp_path / "out/ShapeNet/round/ball.ply").is_file()


@pytest.mark.usefixtures("in_process")
def test_finished_shapes_are_skipped_and_missing_ones_made_the_same(tmp_path, capsys):
    folder, out = write_meshes(tmp_path / "in"), tmp_path / "out"
    render(folder, "--out", out)
    first = contents(out)
    kept = out / "ShapeNet/meshes/box.ply"
    modified = kept.stat().st_mtime_ns
    (out / "ShapeNet/round/ball.ply").unlink()  # as a kill leaves it: views in place, no cloud
    capsys.readouterr()
    assert render(folder, "--out", out) == 0
    assert "1 shapes, 2 views" in capsys.readouterr().out
    assert kept.stat().st_mtime_ns == modified
    assert contents(out) == first


@pytest.mark.usefixtures("in_process")
def test_a_killed_run_goes_on_and_leaves_nothing_partial(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(6):
        trimesh.creation.icosphere(subdivisions=1 + index % 2).export(folder / f"ball{index}.off")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "data.render_views", folder, "--out", out, *FLAGS]
    root, quiet = Path(render_views.__file__).parents[1], {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=root, start_new_session=True, **quiet)
    deadline = time.monotonic() + 30
    while not list(out.rglob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)  # the worker too: nothing can tidy up
    process.wait()
    assert render(folder, "--out", out) == 0
    assert len(list((out / "ShapeNet/meshes").iterdir())) == 6
    assert len(list(out.glob("ShapeNetRendering/meshes/*/rendering/*.png"))) == 12
    assert not (out / ".partial").exists()


@pytest.mark.usefixtures("in_process")
def test_pairs_are_added_to_finished_shapes_and_made_with_new_ones(tmp_path, capsys):
    folder, out = write_meshes(tmp_path / "in"), tmp_path / "out"
    render(folder, "--out", out)
    before = contents(out)
    (out / "ShapeNet/round/ball.ply").unlink()
    capsys.readouterr()
    assert render(folder, "--out", out, "--pairs") == 0
    assert "1 shapes, 2 views" in (printed := capsys.readouterr().out)
    assert "; pairs added to 1 shapes" in printed
    pairs = {f"ShapeNetRendering/{shape}/pairs.npz": True for shape in ("meshes/box", "round/ball")}
    assert contents(out) == before | pairs
    assert render(folder, "--out", out, "--pairs") == 0
    assert "2 shapes were finished before" in capsys.readouterr().out


@pytest.mark.usefixtures("in_process")
def test_other_settings_do_not_mix_into_a_folder(tmp_path):
    folder, out = write_meshes(tmp_path / "in"), tmp_path / "out"
    render(folder, "--out", out)
    with pytest.raises(ValueError, match="begun with seed 0, now 1"):
        render(folder, "--out", out, "--seed", "1")


def test_output_within_the_mesh_folder_is_refused(tmp_path):
    folder = write_meshes(tmp_path / "in")
    with pytest.raises(ValueError, match="is inside"):
        render(folder, "--out", folder / "out")


def test_a_folder_without_meshes_exits_with_status_2(tmp_path, capsys):
    error = error_of(lambda: render(tmp_path, "--out", tmp_path / "out"), capsys)
    assert error.startswith(f"error: {tmp_path}: no mesh files")


def test_missing_embreex_exits_with_status_2(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(raycast, "IMPORT_ERROR", ImportError("no wheel"))
    error = error_of(lambda: render(write_meshes(tmp_path / "in"), "--out", tmp_path / "out"), capsys)
    assert error.startswith("error: rendering needs embreex")


@pytest.mark.parametrize("flag", ["--views", "--size", "--points", "--supersample", "--workers"])
def test_counts_below_one_are_refused(flag, capsys):
    with pytest.raises(SystemExit):
        render_views.parse_args(["in", "--out", "out", flag, "0"])
    assert f"{flag} must be at least 1" in capsys.readouterr().err


def test_a_shape_does_not_depend_on_the_others_in_its_folder(tmp_path):
    both, alone = write_meshes(tmp_path / "both"), write_meshes(tmp_path / "alone")
    (alone / "box.off").unlink()
    _convert(both, tmp_path / "1")
    _convert(alone, tmp_path / "2")
    np.testing.assert_array_equal(_points(tmp_path / "1", "round/ball"), _points(tmp_path / "2", "round/ball"))


def test_shapes_differ_in_their_cameras_and_seeds_too(tmp_path):
    folder = write_meshes(tmp_path / "in")
    poses = set()
    for seed in (0, 1):
        for shape in _convert(folder, tmp_path / str(seed), seed=seed):
            cameras = read_cameras(tmp_path / str(seed) / "ShapeNetRendering" / shape / "cameras.npz")
            poses.add(cameras[0].extrinsics[:3, 3].tobytes())
    assert len(poses) == 4


def test_z_up_meshes_are_rotated_to_y_up(tmp_path):
    """A tall box, with a nub far out on +x and one on +y that show where these axes went."""
    parts = [trimesh.creation.box(extents=(1, 1, 4))]
    parts += [trimesh.creation.box(extents=(0.2, 0.2, 0.2)).apply_translation(at) for at in ([2, 0, 1], [0, 3, 1])]
    (tmp_path / "in").mkdir()
    trimesh.util.concatenate(parts).export(tmp_path / "in/box.off")
    _convert(tmp_path / "in", tmp_path / "out", up="z", num_points=5000)
    points = _points(tmp_path / "out", "meshes/box")
    expected = np.array([2.6, 4.0, 3.6])  # x, z, y
    np.testing.assert_allclose(np.ptp(points, axis=0), expected / np.linalg.norm(expected), atol=0.01)
    # The box lies opposite to the nubs: towards -x, and towards +z because +y went to -z (else it is mirrored).
    assert points[:, 0].mean() < -0.1
    assert points[:, 2].mean() > 0.1


def test_stored_pixels_and_points_agree(tmp_path):
    """From disk alone: each visible point's depth is that of its pixel, to the slope of the surface within it."""
    (tmp_path / "in").mkdir()
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "in/ball.ply")
    _convert(tmp_path / "in", tmp_path, num_points=2048, size_px=137)
    points = _points(tmp_path, "meshes/ball")
    caster = Raycaster(normalise_mesh(load_mesh(tmp_path / "in/ball.ply")))
    folder = tmp_path / "ShapeNetRendering/meshes/ball"
    with np.load(folder / "depth.npz") as arrays:
        depths = decode_depth(arrays)
    for camera, depth in zip(read_cameras(folder / "cameras.npz"), depths, strict=True):
        visible = caster.visible(camera, points)
        pixels, distance = project(camera, points[visible])
        column, row = np.floor(pixels).astype(int).T
        to_camera = camera.position - points[visible]
        cosine = np.einsum("mi,mi->m", to_camera, points[visible])
        cosine /= np.linalg.norm(to_camera, axis=1) * np.linalg.norm(points[visible], axis=1)
        steep = cosine < 0.4  # the rim, where one pixel spans a good part of the ball
        slope = np.sqrt(1 - cosine**2) / cosine
        pixel = distance / camera.intrinsics[0, 0]  # width of a pixel at that distance
        gap = np.abs(depth[row, column] - distance)
        assert (~steep).sum() > 400
        assert (gap <= pixel * (slope + 0.2))[~steep].all()


@pytest.mark.parametrize("name", ["Car/D00793.ply", "Sword/m717.ply", "Tree/D00200.ply"])
def test_real_meshes_convert(shared, tmp_path, name):
    with tarfile.open(shared / "realdata/meshes.tar.gz") as archive:
        member = next(member for member in archive if member.name.endswith(name))
        archive.extract(member, tmp_path / "in", filter="data")
    (shape,) = _convert(tmp_path / "in", tmp_path / "out")
    points = _points(tmp_path / "out", shape)
    assert np.isfinite(points).all()
    assert np.abs(points).max() <= 0.5
