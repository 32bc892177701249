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
from data.rendering.mesh_files import find_meshes
from data.rendering.raycast import Raycaster
from datasets.shapes.cameras import decode_depth, project, read_cameras
from datasets.shapes.meshes import load_mesh, normalise_mesh
from tests.support.pickled_jobs import run_pickled
from utils.cli import run_main

TINY = Settings(num_views=2, size_px=21, num_points=97, supersample=2, up="y", seed=0)


def _meshes(folder: Path) -> Path:
    (folder / "round").mkdir(parents=True)
    trimesh.creation.box(extents=(1, 2, 3)).export(folder / "box.off")
    trimesh.creation.icosphere(subdivisions=1).export(folder / "round" / "ball.stl")
    return folder


def _run(*arguments: str | Path) -> int:
    tiny = ["--views", "2", "--size", "21", "--points", "97", "--workers", "1"]
    return render_views.main(render_views.parse_args([*map(str, arguments), *tiny]))


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meshes are converted in this process."""
    monkeypatch.setattr(render_views, "run_isolated", run_pickled)


def _contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_folder_of_meshes_becomes_both_trees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_meshes(tmp_path / "in"), "--out", tmp_path / "out") == 0
    assert set(_contents(tmp_path / "out")) == {
        "render_views.json",
        *(f"ShapeNet/{shape}.ply" for shape in ("meshes/box", "round/ball")),
        *(
            f"ShapeNetRendering/{shape}/{name}"
            for shape in ("meshes/box", "round/ball")
            for name in ("rendering/00.png", "rendering/01.png", "cameras.npz", "depth.npz")
        ),
    }
    printed = capsys.readouterr().out
    assert "2 shapes, 4 views in" in printed
    assert "views/s per core" in printed


@pytest.mark.usefixtures("in_process")
def test_failures_are_listed_and_the_rest_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _meshes(tmp_path / "in")
    (folder / "empty.obj").touch()
    (folder / "text.off").write_text("hello")
    assert _run(folder, "--out", tmp_path / "out") == 1
    errors = capsys.readouterr().err
    assert f"failed: {folder / 'empty.obj'}: expected triangles" in errors
    assert f"failed: {folder / 'text.off'}: expected the word OFF at its start" in errors
    assert "2 of 4 meshes are written, 2 failed" in errors
    assert (tmp_path / "out/ShapeNet/round/ball.ply").is_file()


@pytest.mark.usefixtures("in_process")
def test_finished_shapes_are_skipped_and_missing_ones_made_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = _meshes(tmp_path / "in"), tmp_path / "out"
    _run(folder, "--out", out)
    first = _contents(out)
    kept = out / "ShapeNet/meshes/box.ply"
    modified = kept.stat().st_mtime_ns
    (out / "ShapeNet/round/ball.ply").unlink()  # as a kill leaves it: views in place, no cloud
    capsys.readouterr()
    assert _run(folder, "--out", out) == 0
    assert "1 shapes, 2 views" in capsys.readouterr().out
    assert kept.stat().st_mtime_ns == modified
    assert {name: data for name, data in _contents(out).items() if not name.endswith("npz")} == {
        name: data
        for name, data in first.items()
        if not name.endswith("npz")  # zip archives hold the time
    }


@pytest.mark.usefixtures("in_process")
def test_a_killed_run_goes_on_and_leaves_nothing_partial(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(6):
        trimesh.creation.icosphere(subdivisions=1 + index % 2).export(folder / f"ball{index}.off")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "data.render_views", folder, "--out", out, "--views", "2", "--size", "21"]
    command += ["--points", "97", "--workers", "1"]
    root = Path(render_views.__file__).parents[1]
    process = subprocess.Popen(
        command, cwd=root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 30
    while not list(out.rglob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)  # the worker too: nothing can tidy up
    process.wait()
    assert _run(folder, "--out", out) == 0
    assert len(list((out / "ShapeNet/meshes").iterdir())) == 6
    assert len(list(out.glob("ShapeNetRendering/meshes/*/rendering/*.png"))) == 12
    assert not (out / ".partial").exists()


@pytest.mark.usefixtures("in_process")
def test_other_settings_do_not_mix_into_a_folder(tmp_path: Path) -> None:
    folder, out = _meshes(tmp_path / "in"), tmp_path / "out"
    _run(folder, "--out", out)
    with pytest.raises(ValueError, match="begun with seed 0, now 1"):
        _run(folder, "--out", out, "--seed", "1")


def test_output_within_the_mesh_folder_is_refused(tmp_path: Path) -> None:
    folder = _meshes(tmp_path / "in")
    with pytest.raises(ValueError, match="is inside"):
        _run(folder, "--out", folder / "out")


def test_a_folder_without_meshes_exits_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_main(lambda: _run(tmp_path, "--out", tmp_path / "out"))
    assert stopped.value.code == 2
    assert f"error: {tmp_path}: no mesh files" in capsys.readouterr().err


def test_missing_embreex_exits_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(raycast, "IMPORT_ERROR", ImportError("no wheel"))
    with pytest.raises(SystemExit) as stopped:
        run_main(lambda: _run(_meshes(tmp_path / "in"), "--out", tmp_path / "out"))
    assert stopped.value.code == 2
    assert "error: rendering needs embreex" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--views", "--size", "--points", "--supersample", "--workers"])
def test_counts_below_one_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        render_views.parse_args(["in", "--out", "out", flag, "0"])
    assert f"{flag} must be at least 1" in capsys.readouterr().err


def test_a_shape_does_not_depend_on_the_others_in_its_folder(tmp_path: Path) -> None:
    both, alone = _meshes(tmp_path / "both"), _meshes(tmp_path / "alone")
    (alone / "box.off").unlink()
    for folder in (both, alone):
        for mesh_file in find_meshes(folder).found:
            convert_shape(mesh_file, settings=TINY, out=tmp_path / f"{folder.name}_out")
    clouds = [(tmp_path / f"{name}_out/ShapeNet/round/ball.ply").read_bytes() for name in ("both", "alone")]
    assert clouds[0] == clouds[1]


def test_shapes_differ_in_their_cameras_and_seeds_too(tmp_path: Path) -> None:
    folder = _meshes(tmp_path / "in")
    poses = []
    for seed in (0, 1):
        settings = replace(TINY, seed=seed)
        for mesh_file in find_meshes(folder).found:
            convert_shape(mesh_file, settings=settings, out=tmp_path / str(seed))
            found = tmp_path / str(seed) / "ShapeNetRendering" / mesh_file.synset / mesh_file.shape_id / "cameras.npz"
            poses.append(read_cameras(found)[0].extrinsics[:3, 3].tobytes())
    assert len(set(poses)) == 4


def test_z_up_meshes_are_rotated_to_y_up(tmp_path: Path) -> None:
    """A tall box, with a nub far out on +x and one on +y that show where these axes went."""
    parts = [trimesh.creation.box(extents=(1, 1, 4))]
    parts += [trimesh.creation.box(extents=(0.2, 0.2, 0.2)).apply_translation(at) for at in ([2, 0, 1], [0, 3, 1])]
    (tmp_path / "in").mkdir()
    trimesh.util.concatenate(parts).export(tmp_path / "in/box.off")
    settings = replace(TINY, up="z", num_points=5000)
    convert_shape(find_meshes(tmp_path / "in").found[0], settings=settings, out=tmp_path / "out")
    points = np.asarray(trimesh.load(tmp_path / "out/ShapeNet/meshes/box.ply").vertices)
    expected = np.array([2.6, 4.0, 3.6])  # x, z, y
    np.testing.assert_allclose(np.ptp(points, axis=0), expected / np.linalg.norm(expected), atol=0.01)
    # The box lies opposite to the nubs: towards -x, and towards +z because +y went to -z (else it is mirrored).
    assert points[:, 0].mean() < -0.1
    assert points[:, 2].mean() > 0.1


def test_stored_pixels_and_points_agree(tmp_path: Path) -> None:
    """From disk alone: each visible point's depth is that of its pixel, to the slope of the surface within it."""
    (tmp_path / "in").mkdir()
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "in/ball.ply")
    settings = replace(TINY, num_points=2048, size_px=137)
    convert_shape(find_meshes(tmp_path / "in").found[0], settings=settings, out=tmp_path)
    points = np.asarray(trimesh.load(tmp_path / "ShapeNet/meshes/ball.ply").vertices)
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
def test_real_meshes_convert(shared: Path, tmp_path: Path, name: str) -> None:
    with tarfile.open(shared / "realdata/meshes.tar.gz") as archive:
        member = next(member for member in archive if member.name.endswith(name))
        mesh = tmp_path / "in" / name
        mesh.parent.mkdir(parents=True)
        mesh.write_bytes(archive.extractfile(member).read())
    mesh_file = find_meshes(tmp_path / "in").found[0]
    convert_shape(mesh_file, settings=TINY, out=tmp_path / "out")
    points = trimesh.load(tmp_path / "out/ShapeNet" / mesh_file.synset / f"{mesh_file.shape_id}.ply").vertices
    assert np.isfinite(points).all()
    assert np.abs(points).max() <= 0.5
