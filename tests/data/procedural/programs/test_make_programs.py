"""Objects of random programs: functions of seed and number, sound surfaces, mostly standing; and their tree."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from data import check_data, make_programs
from data.procedural.programs.numbered_programs import GROUPS, group_of, make_program
from data.procedural.programs.program_jobs import ProgramJob, run_program
from datasets.shapes.meshes import sample_surface
from tests.support.program_calls import message_of, run

FLAGS = ("--count", 4, "--views", 2, "--size", 24)


def content(root):
    """Bytes of every file; of npz files the arrays, whose container carries the time of day."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    read = {".npz": lambda path: b"".join(array.tobytes() for array in np.load(path).values())}
    return {str(path.relative_to(root)): read.get(path.suffix, type(path).read_bytes)(path) for path in paths}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "programs"
    run(make_programs, "--out", out, *FLAGS, "--workers", 1)
    return out


@pytest.fixture(scope="module")
def objects():
    return [make_program(0, number) for number in range(30)]


def test_a_tree_has_all_objects_and_is_accepted_by_the_validator(tree, capsys):
    clouds = sorted(f"{path.parent.name}/{path.stem}" for path in tree.glob("ShapeNet/*/*.ply"))
    assert clouds == sorted(f"{group}/{group}_0_00000{n}" for n in range(4) for group in [group_of(0, n)])
    assert run(check_data, tree, "--workers", 1) == 0
    assert "no faults" in capsys.readouterr().out


def test_data_do_not_depend_on_the_number_of_workers_and_pairs_are_added_as_if_made_at_once(tree, tmp_path, capsys):
    before = content(tree)
    run(make_programs, "--out", tree, *FLAGS, "--workers", 1)
    assert "nothing to do" in capsys.readouterr().out
    run(make_programs, "--out", tree, *FLAGS, "--workers", 1, "--pairs")
    assert f"added the pairs of 4 objects to {tree}" in capsys.readouterr().out
    run(make_programs, "--out", tmp_path / "two", *FLAGS, "--workers", 2, "--pairs")
    after = content(tree)
    assert after == content(tmp_path / "two")
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[-1] for name in after.keys() - before.keys()} == {"pairs.npz"}


def test_an_interrupted_run_makes_only_what_is_missing(tree, tmp_path, monkeypatch):
    def stopped(job):
        if job.number == 2:
            raise KeyboardInterrupt
        return run_program(job)

    out = tmp_path / "programs"
    with monkeypatch.context() as patch:
        patch.setattr(make_programs, "run_program", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(make_programs, "--out", out, *FLAGS, "--workers", 1)
    written = {path: path.stat().st_mtime_ns for path in out.glob("ShapeNet/*/*.ply")}
    assert len(written) == 2
    run(make_programs, "--out", out, *FLAGS, "--workers", 1)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    shared = {name: data for name, data in content(tree).items() if not name.endswith("pairs.npz")}
    assert content(out) == shared


def test_other_arguments_and_folders_of_others_are_refused(tree, tmp_path, capsys):
    assert "seed 0 there, 1 asked for" in message_of(capsys, make_programs, "--out", tree, *FLAGS, "--seed", 1)
    (tmp_path / "notes.txt").write_text("mine")
    refused = message_of(capsys, make_programs, "--out", tmp_path, *FLAGS, "--overwrite")
    assert "was not made by make_programs" in refused
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("flag", ["--count", "--views", "--size", "--workers"])
def test_sizes_below_one_are_refused(flag, tmp_path, capsys):
    assert flag in message_of(capsys, make_programs, "--out", tmp_path / "none", flag, 0)
    assert not (tmp_path / "none").exists()


def test_an_object_is_a_function_of_seed_and_number_alone(objects):
    again = make_program(0, 7)
    np.testing.assert_array_equal(again.mesh.vertices, objects[7].mesh.vertices)
    np.testing.assert_array_equal(again.mesh.visual.vertex_colors, objects[7].mesh.visual.vertex_colors)
    assert len(make_program(1, 7).mesh.vertices) != len(again.mesh.vertices)


def test_no_two_objects_are_alike_and_every_group_is_made(objects):
    sides = {tuple(np.ptp(found.mesh.vertices, axis=0).round(6)) for found in objects}
    assert len(sides) == len(objects)
    assert len({len(found.mesh.faces) for found in objects}) > 0.8 * len(objects)
    assert [found.group for found in objects] == [group_of(0, number) for number in range(len(objects))]
    assert {group_of(0, number) for number in range(200)} == set(GROUPS)


def test_surfaces_are_sound_and_fill_a_box_of_diagonal_1(objects):
    for found in objects:
        vertices, sides = found.mesh.vertices, np.sort(np.ptp(found.mesh.vertices, axis=0))
        assert np.isfinite(vertices).all()
        np.testing.assert_allclose(vertices.min(axis=0) + vertices.max(axis=0), 0, atol=1e-9)
        assert np.linalg.norm(sides) == pytest.approx(1)
        assert sides[1] > 0.02  # no mere line
        assert len(found.mesh.faces) >= 12
        assert found.mesh.area > 0.02


def test_most_objects_stand_and_most_of_these_have_an_upright_plane_of_symmetry(objects):
    standing = [found.mesh for found in objects if found.stands]
    assert len(standing) > 0.6 * len(objects)
    errors = []
    for mesh in standing:
        points = sample_surface(mesh, 1000, np.random.default_rng(0))[0]
        errors.append(np.median(cKDTree(points).query(points * (-1, 1, 1))[0]))
    assert np.mean(np.array(errors) < 0.03) > 0.6


def test_a_job_knows_what_is_there(tree, tmp_path):
    job = ProgramJob(tree, 0, 1, 2, 24, False)
    assert job.is_done
    assert not job._replace(out=tmp_path).is_done
