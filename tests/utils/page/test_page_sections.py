import base64
import io
import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from tests.support import run_folders
from utils.page import page_sections


def decode(encoded):
    return np.frombuffer(base64.b64decode(encoded["data"]), f"<{encoded['dtype']}")


def test_a_run_with_every_file_has_every_section(tmp_path):
    content = page_sections.read_run(run_folders.write_run(tmp_path))
    assert set(content) == {"origin", *page_sections.READERS}


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "results.json", "predictions.npz", "tsne.npz", "part_clouds.npz", "pixel_points.npz"]
)
def test_a_section_is_absent_with_its_file(tmp_path, name):
    (run_folders.write_run(tmp_path) / name).unlink()
    missing = set(page_sections.READERS) - set(page_sections.read_run(tmp_path))
    names = {file: key for key, (file, _) in page_sections.READERS.items()} | {"results.json": "reports"}
    assert missing == {names[name]}


def test_a_folder_that_is_missing_or_has_nothing_to_show_is_refused_with_all_that_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere"):
        page_sections.read_run(tmp_path / "nowhere")
    (tmp_path / "metrics.jsonl").write_text("")  # of a run in its first epoch
    (tmp_path / "config.json").write_text('{"flags": {}}')
    with pytest.raises(FileNotFoundError, match="nothing to show") as caught:
        page_sections.read_run(tmp_path)
    assert all(file in str(caught.value) for file, _ in page_sections.READERS.values())


def test_origin_joins_the_sessions_of_a_resumed_run(tmp_path):
    session = {"command": "a", "commit": "1", "machine": "m", "python": "3", "torch": "2"}
    config = {**session, "flags": {}, "sessions": [session | {"commit": "2"}]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    origin = {"command": "a", "commit": "1, 2", "machine": "m", "python": "3", "torch": "2", "sessions": 2}
    assert page_sections.read_origin(tmp_path) == origin


def test_curves_keep_five_digits_and_have_null_where_an_epoch_has_no_figure_or_no_number(tmp_path):
    epochs = {"epoch": 0, "loss/a": 1.23456789, "lr": float("nan")}, {"epoch": 2, "svm/b": 1.0}
    run_folders.write_metrics(tmp_path, *epochs)
    assert page_sections.read_curves(tmp_path) == {
        "epoch": [0, 2],
        "series": {"loss/a": [1.2346, None], "lr": [None, None], "svm/b": [None, 1.0]},
    }


def test_confusion_counts_true_classes_in_rows_and_more_than_255_of_a_kind(tmp_path):
    run_folders.write_predictions(tmp_path)
    content = page_sections.read_confusion(tmp_path)
    assert decode(content["counts"]).reshape(3, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert content["classes"] == list(run_folders.CLASSES)
    run_folders.write_predictions(tmp_path, label=np.zeros(70001, np.int64), predicted=np.zeros(70001, np.int64))
    assert decode(page_sections.read_confusion(tmp_path)["counts"])[0] == 70001


def test_tsne_maps_come_back_and_the_random_one_may_be_absent(tmp_path):
    run_folders.write_tsne(tmp_path)
    both = page_sections.read_tsne(tmp_path)
    assert list(both["maps"]) == ["random", "pre-trained"]
    assert np.array_equal(decode(both["maps"]["random"]), -decode(both["maps"]["pre-trained"]))
    run_folders.write_tsne(tmp_path, xy_random=None)
    assert list(page_sections.read_tsne(tmp_path)["maps"]) == ["pre-trained"]


def test_clouds_are_centred_and_fill_the_range_and_keep_their_shape(tmp_path):
    points = np.array([[[10, 0, 0], [14, 0, 0], [12, 1, 0]]], np.float32)
    parts = np.array([[3, 2, 1]])
    run_folders.write_parts(tmp_path, 1, 3, points=points, label=parts, predicted=parts)
    (shape,) = page_sections.read_parts(tmp_path)["shapes"]
    half = 32767 / np.hypot(2, 0.5)
    expected = np.array([[-2, -0.5, 0], [2, -0.5, 0], [0, 0.5, 0]]) * half
    np.testing.assert_allclose(decode(shape["xyz"]).reshape(3, 3), expected, atol=0.5)
    assert decode(shape["label"]).tolist() == [3, 2, 1]


def test_of_many_shapes_every_category_gives_one_before_any_gives_two(tmp_path, monkeypatch):
    monkeypatch.setattr(page_sections, "MAX_POINTS", 3 * 31)
    run_folders.write_parts(tmp_path, 5, 31, category=np.array(["mug", "mug", "mug", "cap", "cap"]))
    content = page_sections.read_parts(tmp_path)
    assert content["total"] == 5
    assert [(shape["category"], shape["number"]) for shape in content["shapes"]] == [("cap", 3), ("mug", 0), ("mug", 1)]


def test_pixels_and_points_keep_their_colours_and_their_transparency(tmp_path):
    run_folders.write_pixel_points(tmp_path)
    stored = np.load(tmp_path / "pixel_points.npz")
    shapes = page_sections.read_pixels(tmp_path)
    assert [shape["name"] for shape in shapes] == ["chair/a", "mug/b"]
    assert [(shape["found"], shape["chance"]) for shape in shapes] == [(0.25, 0.01), (0.5, 0.02)]
    assert np.array_equal(decode(shapes[1]["rgb"]).reshape(-1, 3), stored["colours"][1])
    for view, pictures in enumerate(shapes[1]["views"]):
        for source, name in zip(pictures, ("views", "points_seen", "pixels"), strict=True):
            png = base64.b64decode(source.removeprefix("data:image/png;base64,"))
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), stored[name][1, view])


def test_reports_are_all_json_files_with_results_and_no_others(tmp_path):
    run_folders.write_results(tmp_path, run_folders.record(), name="svm.json")
    run_folders.write_results(tmp_path, name="results.json")
    (tmp_path / "speed.json").write_text('{"figures": []}')
    (tmp_path / "list.json").write_text("[1]")
    assert [report["file"] for report in page_sections.read_reports(tmp_path)] == ["results.json", "svm.json"]


NONE = np.zeros(0, np.int64)
FAULTS = {
    "predictions.npz: a class too many": partial(run_folders.write_predictions, label=np.array([0, 1, 2, 3, 0])),
    "predictions.npz: a negative class": partial(run_folders.write_predictions, predicted=-np.ones(5, np.int64)),
    "predictions.npz: lengths differ": partial(run_folders.write_predictions, label=np.array([0])),
    "predictions.npz: numbers for names": partial(run_folders.write_predictions, class_names=np.arange(3)),
    "predictions.npz: no prediction": partial(run_folders.write_predictions, label=NONE, predicted=NONE),
    "tsne.npz: three columns": partial(run_folders.write_tsne, xy=np.zeros((13, 3))),
    "tsne.npz: not finite": partial(run_folders.write_tsne, xy=np.full((13, 2), np.nan)),
    "tsne.npz: an array is missing": partial(run_folders.write_tsne, label=None),
    "part_clouds.npz: an unknown part": partial(run_folders.write_parts, label=np.full((5, 31), 4)),
    "part_clouds.npz: fewer points": partial(run_folders.write_parts, points=np.zeros((5, 30, 3))),
    "part_clouds.npz: damaged": lambda folder: (folder / "part_clouds.npz").write_bytes(b"PK\x03\x04 damaged"),
    "tsne.npz: pickled": lambda folder: np.savez(folder / "tsne.npz", xy=np.array([None], dtype=object)),
    "pixel_points.npz: a view without pixels": partial(
        run_folders.write_pixel_points, pixels=np.zeros((2, 2, 4, 4, 4), np.uint8)
    ),
    "pixel_points.npz: no transparency": partial(
        run_folders.write_pixel_points, pixels=np.zeros((2, 3, 4, 4, 3), np.uint8)
    ),
    "pixel_points.npz: 16 bits": partial(
        run_folders.write_pixel_points, views=np.full((2, 3, 9, 9, 3), 256, np.uint16)
    ),
    "pixel_points.npz: not finite": partial(run_folders.write_pixel_points, found=np.full(2, np.nan)),
    "retrieval.png: a JPEG": lambda folder: (folder / "retrieval.png").write_bytes(b"\xff\xd8\xff"),
    "a.json: no JSON": lambda folder: (folder / "a.json").write_text('{"results": '),
    "a.json: no task": lambda folder: (folder / "a.json").write_text('{"results": [{"accuracy": 1}]}'),
    "config.json: damaged": lambda folder: (folder / "config.json").write_text("{"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_refused_by_name(tmp_path, fault):
    run_folders.write_run(tmp_path)
    FAULTS[fault](tmp_path)
    with pytest.raises(ValueError, match=fault.split(":")[0]):
        page_sections.read_run(tmp_path)
