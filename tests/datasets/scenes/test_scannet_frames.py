"""Frames of ScanNet: metres, poses turned with the cloud, and frames of lost tracking skipped and counted."""

import numpy as np
import pytest

from datasets.scenes.scannet_frames import SceneFrames
from datasets.shapes.cameras import unproject
from tests.support.damage import cut
from tests.support.real_scenes import write_frames, write_scan


@pytest.fixture
def scene(tmp_path):
    folder = write_scan(tmp_path, "scene0000_00")
    write_frames(folder)
    return folder


def test_a_frame_is_lifted_to_where_its_pixels_lie(scene):
    frames = SceneFrames(scene)
    assert (frames.numbers, frames.lost, len(frames)) == ([0, 10], [5], 2)
    frame = frames.read(1)
    assert frame.colour_path.name == "10.jpg"
    assert frame.depth.dtype == np.float32
    np.testing.assert_allclose(frame.depth[1], 2.01)
    assert np.isinf(frame.depth[0, 1])
    # pixel (row 2, column 3) of f 2, centre (1.5, 1): x 1.5, y 1 in the camera; z forward is the scene's +y
    x, y, z = 0.75 * 2.01, 0.5 * 2.01, 2.01
    raw = np.array([1 + x, 2 + z, 3 - y])
    turned = [5 - raw[1], 6 + raw[0], 7 + raw[2]]
    np.testing.assert_allclose(unproject(frame.camera, frame.depth)[-1], turned, rtol=1e-6)
    raw_frame = SceneFrames(scene, align=False).read(1)
    np.testing.assert_allclose(unproject(raw_frame.camera, raw_frame.depth)[-1], raw, rtol=1e-6)
    np.testing.assert_array_equal(frames.colour_intrinsics, [[4, 0, 3], [0, 4, 2], [0, 0, 1]])


def test_what_is_missing_or_damaged_is_named(scene):
    (scene / "color/0.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"color/0\.jpg"):
        SceneFrames(scene).read(0)
    cut(30)(scene / "depth/10.png")
    with pytest.raises(ValueError, match=r"depth/10\.png is not a readable picture"):
        SceneFrames(scene).read(1)
    (scene / "pose/0.txt").write_text("1 0 0 1\n0 1")
    with pytest.raises(ValueError, match=r"pose/0\.txt: the pose has 6 words, expected 16"):
        SceneFrames(scene)
    (scene / "pose/0.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"pose/0\.txt"):
        SceneFrames(scene)


def test_a_scene_of_lost_frames_alone_is_refused(scene):
    for number in (0, 10):
        (scene / f"pose/{number}.txt").write_text("inf " * 16)
    with pytest.raises(ValueError, match="no frame with a pose .3 of lost tracking"):
        SceneFrames(scene)


@pytest.mark.parametrize(
    ("file", "what"),
    [("pose/10.txt", "the pose"), ("intrinsic/intrinsic_depth.txt", "the matrix"), ("scene0000_00.txt", "axisAlig")],
)
@pytest.mark.parametrize("words", ["0 " * 16, "1e300 " * 16])
def test_a_matrix_that_cannot_be_inverted_is_named(scene, file, what, words):
    (scene / file).write_text(f"axisAlignment = {words}\n" if file.startswith("scene") else words)
    with pytest.raises(ValueError, match=rf"{file}: {what}\w* cannot be inverted"):
        SceneFrames(scene)


def test_frames_with_zeros_before_their_numbers_are_refused(scene):
    for file in ("depth/10.png", "pose/10.txt", "color/10.jpg"):
        (scene / file).rename((scene / file).with_stem("000010"))
    with pytest.raises(ValueError, match="scene0000_00: frame 000010 is not called 10 as SensReader does"):
        SceneFrames(scene)
