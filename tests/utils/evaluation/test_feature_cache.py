from functools import partial
from operator import attrgetter

import numpy as np
import pytest
import torch
from torch import nn

from models.encoders.dgcnn import DGCNN
from models.layers.all_layers import AllLayers
from scripts import eval_svm, plot_tsne
from tests.support.damage import cut, flip
from tests.support.entry_programs import write_encoder
from tests.support.tiny_trees import labelled, write_h5, write_modelnet40
from utils.evaluation import feature_cache
from utils.evaluation.feature_cache import FeatureCache
from utils.evaluation.features import extract_features
from utils.run.names import FEATURES_FOLDER


class Counting(nn.Module):
    """Counts the clouds it is given."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale
        self.linear = nn.Linear(3, 5)
        self.seen = np.zeros(0)

    def forward(self, points):
        self.seen = np.append(self.seen, np.ones(len(points)))
        return self.linear(self.scale * points).amax(dim=1)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return Counting()


def clouds(seed=1, num_clouds=7):
    return np.random.default_rng(seed).random((num_clouds, 23, 3)).astype(np.float32)


def extract(folder, encoder, points, lines=None, **options):
    return FeatureCache(folder, [].append if lines is None else lines.append).extract(encoder, points, **options)


def one_file(folder):
    (path,) = folder.glob("*.npy")
    return path


def test_the_second_time_features_are_read_from_an_array_of_numpys_and_equal_bit_by_bit(tmp_path, encoder):
    lines = []
    first = extract(tmp_path / "new", encoder, clouds(), lines)
    second = extract(tmp_path / "new", encoder, torch.from_numpy(clouds()), lines)
    assert len(encoder.seen) == 7
    plain = extract_features(encoder, clouds())
    assert first.dtype == second.dtype == plain.dtype == np.float32
    assert first.tobytes() == second.tobytes() == plain.tobytes()
    assert lines == [f"features read from {one_file(tmp_path / 'new')}"]
    assert np.array_equal(np.load(one_file(tmp_path / "new")), plain)


def test_without_a_folder_nothing_is_kept(encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        extract(None, encoder, clouds())
    assert len(encoder.seen) == 14
    assert list(tmp_path.iterdir()) == []


def with_the_next_weight():
    encoder = Counting()
    with torch.no_grad():
        encoder.linear.weight[0, 0] = encoder.linear.weight[0, 0].nextafter(torch.tensor(1.0))
    return encoder


@pytest.mark.parametrize(
    "builders",
    [
        (Counting, with_the_next_weight),
        (Counting, lambda: Counting(2.0)),
        (partial(DGCNN, 3, 8), partial(DGCNN, 5, 8)),
        (partial(DGCNN, 3, 8), lambda: AllLayers(DGCNN(3, 8))),
    ],
    ids=["weight", "setting", "k", "layers"],
)
def test_another_encoder_is_run(tmp_path, builders):
    for build in builders:
        torch.manual_seed(0)
        encoder = build()
        assert np.array_equal(extract(tmp_path, encoder, clouds()), extract_features(encoder, clouds()))
    assert len(list(tmp_path.iterdir())) == 2


def test_the_autocast_type_and_the_kernels_decide_whose_features_they_are(tmp_path, encoder, monkeypatch):
    for dtype in (torch.bfloat16, torch.float16):
        for _ in range(2):
            with torch.autocast("cpu", dtype):
                assert np.array_equal(extract(tmp_path, encoder, clouds()), extract_features(encoder, clouds()))
    assert len(encoder.seen) == (2 + 4) * 7
    monkeypatch.setattr(feature_cache, "can_run", lambda x: True)
    with torch.autocast("cpu", torch.float16):
        extract(tmp_path, encoder, clouds())
    assert len(encoder.seen) == (2 + 4 + 1) * 7


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="since torch 2.9")
@pytest.mark.parametrize("name", ["cuda.matmul", "mkldnn.matmul", "cudnn.conv"])
def test_precision_set_by_torchs_newer_names_runs_the_encoder_and_raises_nothing(tmp_path, encoder, name):
    extract(tmp_path, encoder, clouds())
    backend = attrgetter(name)(torch.backends)
    before = backend.fp32_precision
    try:
        backend.fp32_precision = "ieee" if before == "tf32" else "tf32"
        for _ in range(2):
            extract(tmp_path, encoder, clouds())
    finally:
        backend.fp32_precision = before
    assert len(encoder.seen) == 14


def test_precision_set_by_torchs_older_names_runs_the_encoder(tmp_path, encoder):
    before = torch.get_float32_matmul_precision()
    extract(tmp_path, encoder, clouds())
    try:
        torch.set_float32_matmul_precision("medium")
        extract(tmp_path, encoder, clouds())
    finally:
        torch.set_float32_matmul_precision(before)
    assert len(encoder.seen) == 14


def test_other_code_of_the_models_runs_the_encoder(tmp_path, encoder, monkeypatch):
    extract(tmp_path, encoder, clouds())
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("# other code")
    monkeypatch.setattr(feature_cache.models, "__file__", str(tmp_path / "package" / "__init__.py"))
    extract(tmp_path, encoder, clouds())
    assert len(encoder.seen) == 14


@pytest.mark.parametrize(
    "points", [clouds(2), clouds()[:6], clouds()[::-1].copy(), clouds().reshape(1, -1, 3), clouds()[:, :22]]
)
def test_other_clouds_are_run(tmp_path, encoder, points):
    extract(tmp_path, encoder, clouds())
    assert np.array_equal(extract(tmp_path, encoder, points), extract_features(encoder, points))
    assert len(list(tmp_path.iterdir())) == 2


def test_batches_of_another_size_which_round_differently_are_run(tmp_path, encoder):
    extract(tmp_path, encoder, clouds())
    extract(tmp_path, encoder, clouds(), batch_size=3)
    assert len(encoder.seen) == 14


@pytest.mark.parametrize("damage", [*map(flip, (0, 40, 100, 200, -40, -1)), *map(cut, (0, 10, 150))])
def test_a_damaged_or_cut_file_is_said_to_be_and_computed_again(tmp_path, encoder, damage):
    plain = extract(tmp_path, encoder, clouds())
    path, lines = one_file(tmp_path), []
    damage(path)
    assert np.array_equal(extract(tmp_path, encoder, clouds(), lines), plain)
    assert lines == [f"warning: {path} is damaged; computing its features again"]
    assert np.array_equal(extract(tmp_path, encoder, clouds(), lines), plain)
    assert len(encoder.seen) == 14
    assert len(lines) == 2


def test_features_of_others_under_the_same_name_are_not_taken(tmp_path, encoder):
    extract(tmp_path, encoder, clouds())
    mine = one_file(tmp_path)
    extract(tmp_path / "other", encoder, clouds(2))
    one_file(tmp_path / "other").replace(mine)
    assert np.array_equal(extract(tmp_path, encoder, clouds()), extract_features(encoder, clouds()))


def test_a_folder_that_cannot_be_written_costs_a_warning_only(tmp_path, encoder):
    (tmp_path / "file").write_text("no folder")
    lines = []
    assert extract(tmp_path / "file" / "features", encoder, clouds(), lines).shape == (7, 5)
    assert len(encoder.seen) == 7
    assert lines[-1].startswith(f"warning: features not kept in {tmp_path / 'file' / 'features'}")


def test_errors_name_the_cloud_as_without_cache_and_keep_nothing(tmp_path, encoder):
    points = clouds()
    points[4, 2, 1] = np.inf
    with pytest.raises(ValueError, match="^cloud 4 has a point that is not finite"):
        extract(tmp_path, encoder, points)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flag, checkpoint, folder",
    [
        (None, "runs/a/models/best_model.pth", f"runs/a/{FEATURES_FOLDER}"),
        (None, "runs/a/last.pt", f"runs/a/{FEATURES_FOLDER}"),
        (None, None, None),
        ("mine", None, "mine"),
        ("mine", "runs/a/last.pt", "mine"),
        ("off", "runs/a/last.pt", None),
    ],
)
def test_the_flag_names_the_folder_and_by_default_the_run_does(flag, checkpoint, folder):
    found = FeatureCache.from_flag(flag, checkpoint).folder
    assert (found and found.as_posix()) == folder


def test_two_programs_never_run_an_encoder_twice_on_the_same_cloud(tmp_path, monkeypatch):
    shards = write_modelnet40(tmp_path / "data")
    write_h5(shards / "ply_data_test1.h5", **labelled([0, 1, 2, 2], seed=70))  # t-SNE needs more than three
    checkpoint = write_encoder(tmp_path / "run" / "models" / "best_model.pth", k=7)
    ran = []
    forward = DGCNN.forward
    monkeypatch.setattr(DGCNN, "forward", lambda self, points: ran.append(len(points)) or forward(self, points))
    data = ["--data_root", str(tmp_path / "data"), "--num_points", "61", "--device", "cpu", "--seed", "1"]
    pretrained = ["--model_path", str(checkpoint), *data]
    shared = ["--feature_cache", str(tmp_path / "run" / FEATURES_FOLDER)]
    eval_svm.main(eval_svm.parse_args(pretrained))
    eval_svm.main(eval_svm.parse_args(["--random_init", "--k", "7", *data, *shared]))
    assert sum(ran) == 2 * 13  # 6 train and 7 test clouds by both encoders, for all protocols and folds
    eval_svm.main(eval_svm.parse_args(pretrained))
    plot_tsne.main(plot_tsne.parse_args([*pretrained, "--out", str(tmp_path / "tsne.png")]))
    assert sum(ran) == 2 * 13
    eval_svm.main(eval_svm.parse_args([*pretrained, "--normalize"]))
    assert sum(ran) == 3 * 13
    eval_svm.main(eval_svm.parse_args([*pretrained, "--feature_cache", "off"]))
    assert sum(ran) == 4 * 13


def test_copies_are_turned_by_equal_steps_about_y_and_their_features_averaged(tmp_path, encoder):
    half_turn = clouds() * np.float32([-1, 1, -1])
    quarter_turn, back = (clouds()[..., [2, 1, 0]] * np.float32(signs) for signs in ([1, 1, -1], [-1, 1, 1]))
    features = [extract_features(encoder, turned) for turned in (clouds(), quarter_turn, half_turn, back)]
    averaged = extract(tmp_path, encoder, clouds(), copies=4)
    np.testing.assert_allclose(averaged, np.mean(features, axis=0), rtol=1e-5)
    assert not np.allclose(averaged, features[0])
    assert averaged.dtype == np.float32
    assert len(list(tmp_path.glob("*.npy"))) == 4
