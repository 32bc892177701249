"""Rooms on the page: what a training writes, what the page reads and draws of it."""

import base64
from itertools import pairwise

import numpy as np
import pytest

from datasets.scenes.scene import IGNORED
from tests.support.browser import CHROMIUM, Browser
from tests.support.run_folders import ROOM_CLASSES as NAMES
from tests.support.run_folders import write_room_clouds
from utils.page.page import build_page
from utils.page.room_section import read_room_clouds


def decoded(encoded):
    kinds = {"i2": "<i2", "u1": "u1"}
    return np.frombuffer(base64.b64decode(encoded["data"]), kinds[encoded["dtype"]])


def test_the_first_rooms_are_kept_once_each_with_a_share_of_their_points(tmp_path):
    with np.load(write_room_clouds(tmp_path) / "room_clouds.npz") as stored:
        assert stored["room_names"].tolist() == ["Area_1/a", "Area_1/b"]
        assert np.bincount(stored["room"]).tolist() == [50, 50]
        is_known = stored["label"] != IGNORED
        assert np.array_equal(stored["label"][is_known], stored["predicted"][is_known])
        assert np.array_equal(stored["label"][is_known] == 2, stored["points"][is_known, 2] > 2)


def test_the_page_has_heights_along_y_and_a_colour_for_no_class(tmp_path):
    found = read_room_clouds(write_room_clouds(tmp_path))
    assert found["classes"] == [*NAMES, "no class"]
    assert (len(set(found["colours"])), found["colours"][3]) == (4, "#787878")
    for room in found["rooms"]:
        height, label = decoded(room["xyz"]).reshape(-1, 3)[:, 1], decoded(room["label"])
        assert set(label.tolist()) == {0, 2, 3}
        assert height[label == 2].min() > height[label == 0].max()


def test_a_damaged_file_is_refused_by_name(tmp_path):
    write_room_clouds(tmp_path)
    with np.load(tmp_path / "room_clouds.npz") as stored:
        arrays = dict(stored)
    for name, value, message in (
        ("predicted", arrays["predicted"] + 200, "predicted holds"),
        ("room", arrays["room"] + 1, "room holds 2"),
        ("points", arrays["points"] * np.nan, "not finite"),
        ("colours", arrays["colours"][1:], "colours is"),
    ):
        np.savez(tmp_path / "room_clouds.npz", **arrays | {name: value})
        with pytest.raises(ValueError, match=f"room_clouds.npz: .*{message}"):
            read_room_clouds(tmp_path)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_room_turns_is_cut_open_and_shows_its_scan(tmp_path):
    (tmp_path / "report.html").write_text(build_page([write_room_clouds(tmp_path)]), encoding="utf-8")
    canvas = "document.querySelectorAll('#rooms canvas.turnable')"
    pixels = f"[...{canvas}].map((one) => one.toDataURL())"
    slide = "((i) => {{ i.value = '{}'; i.dispatchEvent(new Event('input')) }})(document.querySelector('#rooms input'))"
    with Browser(tmp_path / "profile") as browser:
        browser.open(tmp_path / "report.html")
        seen = [browser.run(pixels)]
        browser.run(f"{canvas}[1].focus()")
        browser.press("ArrowLeft")
        seen.append(browser.run(pixels))
        browser.run(slide.format(30))
        browser.settle()
        seen.append(browser.run(pixels))
        browser.run("document.querySelectorAll('#rooms .panel button')[1].click()")
        browser.settle()
        scan = browser.run(pixels)
        assert "Area_1/a: 100.0 % of" in browser.run("document.querySelector('#rooms .readout').textContent")
        assert browser.faults == []
    for before, after in pairwise(seen):
        assert all(a != b for a, b in zip(before, after, strict=True))
    assert scan[0] != seen[-1][0]
    assert scan[1] == seen[-1][1]
