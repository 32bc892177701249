import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from scripts import plot_run, plot_shapes, plot_tsne
from tests.support.entry_programs import write_encoder
from tests.support.program_calls import run
from tests.support.run_folders import write_metrics
from tests.support.tiny_trees import write_modelnet40, write_shapenet
from utils.evaluation.comparison import encoder_pair


@pytest.fixture
def checkpoint(tmp_path):
    return write_encoder(tmp_path / "best_model.pth", k=7)


def test_plot_run_writes_a_picture_into_the_folder_of_the_run(tmp_path):
    write_metrics(tmp_path, {"epoch": 0, "loss/imid": 1.0, "svm/modelnet40_val": 0.5})
    run(plot_run, tmp_path)
    with Image.open(tmp_path / "loss_curve.png") as image:
        assert image.size == (700, 520)


@pytest.mark.parametrize("text", ["", "no JSON\n", '{"loss/imid": 1.0}\n'])
def test_metrics_without_an_epoch_are_refused_by_name(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"metrics\.jsonl"):
        run(plot_run, tmp_path)


def test_a_folder_that_is_no_run_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no .*nothing/metrics\.jsonl"):
        run(plot_run, tmp_path / "nothing")


def test_plot_shapes_writes_one_column_a_shape(tmp_path):
    write_shapenet(tmp_path)
    run(plot_shapes, tmp_path, "--out", tmp_path / "two.png", "--num_shapes", 2)
    run(plot_shapes, tmp_path, "--out", tmp_path / "three.png", "--num_shapes", 3)
    with Image.open(tmp_path / "two.png") as two, Image.open(tmp_path / "three.png") as three:
        assert three.width - two.width == 135


@pytest.mark.parametrize("program", [(plot_run, "run"), (plot_shapes, "data"), (plot_tsne, "--model_path", "a.pth")])
def test_a_picture_of_another_format_is_refused_before_any_work(program):
    with pytest.raises(ValueError, match=r"--out a\.jpg: pictures are written as PNG only; name it a\.png"):
        run(*program, "--out", "a.jpg")


def test_plot_tsne_draws_the_test_split_by_both_encoders(tmp_path, checkpoint, monkeypatch):
    shards = write_modelnet40(tmp_path / "data")
    (shards / "ply_data_train0.h5").rename(shards / "ply_data_test1.h5")  # four more test clouds
    drawn = []
    monkeypatch.setattr(plot_tsne, "feature_maps", lambda *given: drawn.append(given) or Figure(figsize=(1, 1)))
    arguments = ["--model_path", checkpoint, "--data_root", tmp_path / "data", "--num_points", 61]
    run(plot_tsne, *arguments, "--seed", 3, "--out", tmp_path / "new" / "tsne.png")
    ((maps, labels, class_names),) = drawn
    assert {name: points.shape for name, points in maps.items()} == {"random": (7, 2), "pre-trained": (7, 2)}
    assert labels.tolist() == [2, 0, 1, 0, 1, 2, 2]
    assert class_names == ("cone", "cube", "ball")
    assert (tmp_path / "new" / "tsne.png").is_file()
    with np.load(tmp_path / "new" / "tsne.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["xy"], maps["pre-trained"])
        assert np.array_equal(kept["xy_random"], maps["random"])
        assert kept["label"].dtype == np.int64
        assert kept["label"].tolist() == labels.tolist()
        assert kept["class_names"].tolist() == ["cone", "cube", "ball"]


def test_plot_tsne_maps_the_layers_that_are_asked_for(tmp_path, checkpoint, monkeypatch):
    write_modelnet40(tmp_path / "data")
    widths = []
    monkeypatch.setattr(plot_tsne, "tsne_map", lambda rows, seed: widths.append(rows.shape[1]) or rows[:, :2])
    arguments = ["--model_path", checkpoint, "--data_root", tmp_path / "data", "--num_points", 61]
    for layers in ("last", "all"):
        run(plot_tsne, *arguments, "--layers", layers, "--out", tmp_path / "tsne.png")
    assert [after - before for before, after in zip(widths[:2], widths[2:])] == 2 * [2 * (64 + 64 + 128 + 256)]


def test_the_random_encoder_of_a_pair_is_the_same_network_with_other_weights_given_by_the_seed(checkpoint):
    first, again, other = (encoder_pair(checkpoint, seed=seed) for seed in (1, 1, 2))
    assert first["random"].k == first["pre-trained"].k == 7
    weight = [pair["random"].conv5[0].weight for pair in (first, again, other)]
    assert torch.equal(weight[0], weight[1])
    assert not torch.equal(weight[0], weight[2])
    assert not torch.equal(weight[0], first["pre-trained"].conv5[0].weight)
