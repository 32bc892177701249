"""Rooms that lack what most have are drawn, too: instances, colours, more than one point."""

import numpy as np
import pytest
from PIL import Image

from datasets.scenes.sunrgbd_scenes import prepared_folder
from scripts import plot_rooms
from tests.support.entry_programs import call
from tests.support.real_scenes import write_prepared, write_scan
from utils.figures.room_pictures import top_view


def bare_room(root):
    folder = prepared_folder(root, "train")
    write_prepared(folder, "000001")
    np.savez(folder / "000001_pc.npz", pc=np.random.default_rng(0).uniform(size=(40, 3)))
    np.save(folder / "000001_bbox.npy", np.zeros((0, 8)))


def labels_alone(root):
    for path in write_scan(root, "scene0000_00").glob("*.json"):
        path.unlink()


@pytest.mark.parametrize(("write", "dataset"), [(bare_room, "sunrgbd"), (labels_alone, "scannet")])
def test_a_room_without_colours_or_instances_is_drawn(tmp_path, write, dataset):
    write(tmp_path)
    call(plot_rooms, "--data_root", tmp_path, "--dataset", dataset, "--out", tmp_path / "rooms.png")
    with Image.open(tmp_path / "rooms.png") as picture:
        assert len(picture.getcolors(2**16)) > 2


def test_a_room_of_one_point_is_a_dot():
    picture = top_view(np.ones((1, 3), np.float32), np.zeros((1, 3), np.uint8), side_px=9)
    assert (picture == 0).all(axis=2).sum() == 1
