"""Pixels beside points: what is found, what is coloured, and the files of a run."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from datasets.pairs.shapenet_render import ShapeNetRender
from scripts import plot_pixels
from tests.support.multiview_runs import train_points
from tests.support.program_calls import message_of, run
from tests.support.tiny_trees import write_pairs, write_shapenet
from utils.multiview import pixel_pictures
from utils.multiview.pixel_points import NEAR, compare_shapes, find_shapes, first_of_categories, project_to_colours
from utils.multiview.teacher import MultiViewSettings, TaughtPairs

N, V, M = 60, 3, 32  # of 97 stored points


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    shapes = ["03001627/a", "03001627/b", "04/a", "05/a", "06/a"]
    return write_pairs(write_shapenet(tmp_path_factory.mktemp("tree"), shapes))


@pytest.fixture
def items(tree):
    targets = SimpleNamespace(features=lambda index: (np.zeros((V, 1, 1, 1), np.float16), None))
    return SimpleNamespace(source=ShapeNetRender(tree), targets=targets, num_points=N, num_views=V, map_size=M)


class Planted:
    """Points whose feature is their direction from the origin, and pixels that hold `own` of their pair's point."""

    def __init__(self, own):
        self.point_encoder, self.own, self.points = SimpleNamespace(dense=self.dense), own, None

    def dense(self, points):
        self.points = points
        return points, points.amax(dim=1)

    def point_head(self, rows):
        return rows

    def embed_pixels(self, maps, pairs):
        return self.own(self.points[0])[pairs[..., 3]]


def test_pixels_like_their_points_find_all_of_them_and_others_as_many_as_definition_says(items):
    assert compare_shapes(Planted(lambda points: points), items, [0]).found.tolist() == [1]
    found = compare_shapes(Planted(lambda points: points.roll(1, 0)), items, [0])
    (points,) = found.points.astype(float)
    near = [[math.dist(p, q) <= NEAR for q in points] for p in points]
    own = [point for *_, point in items.source.read_pixel_pairs(0).rows(M) if point < N]
    assert found.found[0] == pytest.approx(np.mean([near[point][point - 1] for point in own]))
    assert found.chance[0] == pytest.approx(np.mean([near[point] for point in own]))
    assert 1 / N < found.chance[0] < 0.1


def test_a_shape_without_a_pair_is_refused_by_name(items):
    items.num_views = 1  # which has none
    with pytest.raises(ValueError, match="a.ply and .*: no pixel is paired with one of its first 60 points"):
        compare_shapes(Planted(lambda points: points), items, [0])


def test_pictures_have_colours_where_pairs_are_and_nothing_elsewhere(items):
    found = compare_shapes(Planted(lambda points: points), items, [1])
    rows = items.source.read_pixel_pairs(1).rows(M)
    for name, limit in (("pixels", 97), ("points_seen", N)):
        expected = np.zeros((V, M, M), bool)
        expected[tuple(rows[rows[:, 3] < limit, :3].T)] = True
        assert np.array_equal(getattr(found, name)[0, ..., 3] == 255, expected), name
        assert not getattr(found, name)[0][~expected].any()
    cells, counts = np.unique(rows[rows[:, 3] < N, :3], axis=0, return_counts=True)
    alone = {tuple(cell) for cell in cells[counts == 1]}
    assert len(alone) > 10
    for *cell, point in rows:
        if tuple(cell) in alone and point < N:
            np.testing.assert_allclose(found.points_seen[0][tuple(cell)][:3], found.colours[0, point], atol=1)


def test_colours_tell_features_apart_as_they_differ_and_an_outlier_does_not_squeeze_them():
    features = np.zeros((300, 5))
    features[:, 2] = np.linspace(0, 1, 300)
    colours = project_to_colours(features)
    assert np.all(np.diff(np.sort(colours[:, 0])[3:-3]) > 0)
    assert colours.max() == pytest.approx(0.9)
    features[7, 2] = 100
    assert np.std(project_to_colours(features)[:, 0]) > 0.2


def test_shapes_are_found_by_name_and_the_first_of_categories_by_order(items):
    assert first_of_categories(items.source) == [0, 2, 3]
    assert first_of_categories(items.source, 9) == [0, 2, 3, 4]
    assert find_shapes(items.source, ["06/a", "03001627/b"]) == [4, 1]


@pytest.fixture(scope="module")
def trained(tree, tmp_path_factory):
    """The folder of a short run."""
    return train_points(tree, tmp_path_factory.mktemp("out"), "--epochs", 1, draws=True)


def test_a_training_ends_with_the_picture_and_says_how_many_pixels_find_their_points(trained):
    arrays = np.load(trained / "pixel_points.npz")
    assert arrays["name"].tolist() == ["chair/a", "04/a", "05/a"]
    assert [arrays[name].shape for name in ("points", "pixels")] == [(3, 64, 3), (3, 2, M, M, 4)]
    said = f"{arrays['found'].mean():.1%} of pixels find their point"
    assert said in (trained / "run.log").read_text()
    with Image.open(trained / "pixel_points.png") as picture:
        assert picture.width > 500


def test_the_picture_can_be_drawn_again_of_other_shapes(trained, tmp_path, capsys):
    before = (trained / "pixel_points.npz").read_bytes()
    run(plot_pixels, "--run", trained, "--shape", "04/a", "--out", tmp_path / "a.png")
    assert "(04/a)" in capsys.readouterr().out
    assert (tmp_path / "a.png").is_file()
    assert (trained / "pixel_points.npz").read_bytes() == before
    (trained / "pixel_points.npz").unlink()
    config = trained / "config.json"
    config.write_text(config.read_text().replace('"weight_decay"', '"of an earlier version"'))
    run(plot_pixels, "--run", trained)
    assert (trained / "pixel_points.npz").read_bytes() == before


def test_an_unknown_shape_and_a_run_of_another_kind_are_refused(trained, tmp_path, capsys):
    assert "--shape 07/x: none of 5" in message_of(capsys, plot_pixels, "--run", trained, "--shape", "07/x")
    (tmp_path / "config.json").write_text('{"flags": {"local_weight": 0.0}}')
    assert "--local_weight is above 0" in message_of(capsys, plot_pixels, "--run", tmp_path)


def test_another_teacher_of_the_same_name_is_refused(trained, tmp_path, capsys):
    flags = json.loads((trained / "config.json").read_text())["flags"] | {"teacher_sha256": "0"}
    (tmp_path / "config.json").write_text(json.dumps({"flags": flags}))
    assert "random holds other weights than the teacher of" in message_of(capsys, plot_pixels, "--run", tmp_path)


def test_a_picture_that_fails_is_a_warning(trained, tmp_path):
    lines = []
    pixel_pictures.try_draw_pixel_points(tmp_path, TaughtPairs(MultiViewSettings(teacher="random")), lines.append)
    (line,) = lines
    assert line.startswith(f"warning: no {tmp_path / 'pixel_points.png'}: no checkpoint at")


def test_without_the_local_loss_there_is_no_picture_and_that_of_an_overwritten_run_goes(tree, tmp_path):
    names = [tmp_path / "tiny" / f"pixel_points.{kind}" for kind in ("npz", "png")]
    for name in names:
        name.parent.mkdir(exist_ok=True)
        name.touch()
    train_points(tree, tmp_path, "--epochs", 1, "--local_weight", 0, "--overwrite", draws=True)
    assert [name for name in names if name.exists()] == []
