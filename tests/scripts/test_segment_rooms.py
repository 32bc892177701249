"""`scripts.segment` on rooms: files and folders of all kinds in, a coloured cloud with labels out."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from plyfile import PlyData, PlyElement

from datasets.scenes.room_files import read_coloured_room
from models.encoders.scenes.sr_unet import SRUNet
from models.weights.sr_unet_file import backbone_state
from scripts import segment
from tests.support.entry_programs import call, error_of
from tests.support.real_scenes import COLOURS, POINTS, write_scan
from tests.support.tiny_rooms import tiny_plan, write_box_rooms
from utils.semseg.semseg_weights import network_state
from utils.semseg.voxel_rooms import room_probabilities

NAMES = ["floor", "table", "wall"]


def write_room_ply(path, points, colours=None, kind="u1", place="f8"):
    fields = [(name, place) for name in "xyz"]
    fields += [] if colours is None else [(name, kind) for name in ("red", "green", "blue")]
    columns = points if colours is None else np.concatenate([points, colours], axis=1)
    rows = np.array([tuple(row) for row in columns], fields)
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(path))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "best_model.pth"
    with tiny_plan():
        network = SRUNet(3, 3, "14A")
        torch.nn.init.normal_(network.final.kernel, std=30)
        torch.save(network_state(network, {"class_names": NAMES, "voxel": 0.2, "model": "sr_unet 14A",
                                           "dataset": "s3dis"}), path)  # fmt: skip
        yield path, network


def test_every_point_of_a_room_gets_the_label_that_scoring_gives_it(model, tmp_path, capsys):
    path, network = model
    folder = write_box_rooms(tmp_path / "rooms", (1,)) / "Area_1" / "office_0"
    call(segment, folder, "--model_path", path, "--out", tmp_path / "out.ply", "--device", "cpu")
    vertex = PlyData.read(str(tmp_path / "out.ply"))
    rows, room = vertex["vertex"], read_coloured_room(folder)
    expected = room_probabilities(network, room, 0.2, torch.device("cpu")).argmax(dim=1).numpy()
    assert vertex.comments == [f"label {number} {name}" for number, name in enumerate(NAMES)]
    assert np.array_equal(rows["label"], expected)
    assert len(set(expected.tolist())) > 1
    assert_allclose(np.stack([rows[name] for name in "xyz"], axis=1), room.points)
    colours = {(label, *rgb) for label, *rgb in zip(rows["label"], rows["red"], rows["green"], rows["blue"])}
    assert len(colours) == len(set(expected.tolist()))
    printed = capsys.readouterr().out
    assert f"table           {(expected == 1).sum():>10}" in printed
    assert "370 points" in printed
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_all_kinds_of_files_of_a_room_hold_the_same(tmp_path):
    points, colours = np.array(POINTS, float), np.array(COLOURS)
    lines = "".join(f"{x} {y} {z} {r} {g} {b}\n" for (x, y, z), (r, g, b) in zip(POINTS, COLOURS))
    (tmp_path / "room.txt").write_text(lines)
    found = [
        read_coloured_room(write_room_ply(tmp_path / "bytes.ply", points, colours)),
        read_coloured_room(write_room_ply(tmp_path / "shares.ply", points, colours / 255, "f4")),
        read_coloured_room(tmp_path / "room.txt"),
        read_coloured_room(write_scan(tmp_path, "scene0000_00")),
    ]
    for room in found:
        assert_allclose(room.points, points)
        assert np.array_equal(room.colours, colours)


def test_what_is_no_coloured_room_is_refused_by_name(model, tmp_path, capsys):
    path, _ = model
    points = np.random.default_rng(0).uniform(0, 2, (50, 3))

    def message(source, *flags):
        out = ("--model_path", path, "--out", tmp_path / "out.ply", "--device", "cpu")
        return error_of(lambda: call(segment, source, *out, *flags), capsys)

    bare = write_room_ply(tmp_path / "bare.ply", points)
    assert "bare.ply has no colours, from which the network was trained" in message(bare)
    assert "no file or folder" in message(tmp_path / "none.ply")
    (tmp_path / "empty").mkdir()
    assert "empty is no room: neither empty_vh_clean_2.ply nor Annotations/" in message(tmp_path / "empty")
    (tmp_path / "room.obj").write_text("v 0 0 0\n")
    assert "room.obj: not read as a room; expected a PLY file" in message(tmp_path / "room.obj")
    assert "--category is for shapes" in message(bare, "--category", "chair")
    assert not (tmp_path / "out.ply").exists()


def test_files_of_the_room_itself_are_not_replaced(model, tmp_path, capsys):
    scene = write_scan(tmp_path, "scene0000_00")
    cloud = scene / "scene0000_00_vh_clean_2.ply"
    before = cloud.read_bytes()
    flags = ("--model_path", model[0], "--out", cloud, "--device", "cpu")
    for source in (scene, cloud):
        assert "name another" in error_of(lambda source=source: call(segment, source, *flags), capsys)
    assert cloud.read_bytes() == before


def test_files_of_other_programs_are_refused_by_name(model, tmp_path, capsys):
    room = write_room_ply(tmp_path / "my room.ply", np.array(POINTS, float), np.array(COLOURS))
    pretrained, state = tmp_path / "pretrained.pth", tmp_path / "last.pt"
    torch.save(backbone_state(model[1], voxel_size=0.2), pretrained)
    torch.save({"method": model[1].state_dict(), "progress": {"epoch": 1}}, state)

    def message(path):
        out = ("--model_path", path, "--out", tmp_path / "out.ply", "--device", "cpu")
        return error_of(lambda: call(segment, room, *out), capsys)

    assert f"{pretrained} holds a sr_unet, which segments nothing yet; expected models/best_" in message(pretrained)
    assert f"{state} is the state of a training, for --resume: pass models/best_model.pth" in message(state)


def test_a_room_in_millimetres_or_of_one_colour_is_said_to_be_unusual(model, tmp_path, capsys):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 3000, (40, 3))
    room = write_room_ply(tmp_path / "mm.ply", points, np.full((40, 3), 7))
    call(segment, room, "--model_path", model[0], "--out", tmp_path / "out.ply", "--device", "cpu")
    said = capsys.readouterr().err
    assert "m high along z; rooms are taken in metres and z up" in said
    assert "all points of mm have one colour" in said


@pytest.mark.parametrize(("north", "step"), [(5e6, "0.5"), (1e6, "0.0625"), (1e5, None)])
def test_single_precision_that_is_coarser_than_voxels_is_refused_and_coarse_one_noted(
    model, tmp_path, capsys, north, step
):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 2, (60, 3)) + (0, north, 0)
    colours = rng.integers(0, 256, (60, 3))
    room = write_room_ply(tmp_path / "utm.ply", points, colours, place="f4")
    out = ("--model_path", model[0], "--out", tmp_path / "out.ply", "--device", "cpu")
    said = (
        f"{room}: its coordinates, about {north + 1:,.0f} m, lie {step} m apart as float32; voxels of 0.2 m need 0.02"
    )
    if north == 5e6:
        assert said in error_of(lambda: call(segment, room, *out), capsys)
        assert not (tmp_path / "out.ply").exists()
        call(segment, write_room_ply(room, points, colours), *out)  # doubles, which are centred
    else:
        call(segment, room, *out)
    assert (said in (found := capsys.readouterr().err)) == (north == 1e6)
    assert ("float32" in found) == (north == 1e6)


def test_a_stray_point_that_no_voxel_reaches_is_refused_by_the_name_of_the_file(model, tmp_path, capsys):
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 2, (60, 3)), [(1e5, 0, 1)]])
    room = write_room_ply(tmp_path / "far.ply", points, rng.integers(0, 256, (61, 3)), place="f4")
    out = ("--model_path", model[0], "--out", tmp_path / "out.ply", "--device", "cpu")
    message = error_of(lambda: call(segment, room, *out), capsys)
    assert f"{room}: its points lie up to 100,000 m apart, 26,200 m are possible with voxels of 0.2 m" in message
    assert "float32" not in message
