"""--ema_decay: the averaged encoder of any pre-training, exactly resumed, scored and loaded like the last one."""

import pytest
import torch
from torch import nn

from scripts import eval_svm, pretrain_images
from tests.support.entry_programs import call, error_of
from tests.support.interruption import stopped_after
from tests.support.light_runs import metrics, same
from tests.support.pretraining_runs import train, write_pairs_and_classes
from utils.pretrained import load
from utils.pretraining.moving_average import MovingAverage

pytestmark = pytest.mark.usefixtures("light_training")
EVAL = ("--eval_freq", "1", "--eval_num_points", "64")
FLAGS = ("--cmid_weight", "0", "--emb_dims", "32", "--ema_decay", "0.9")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_pairs_and_classes(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory, light_training):
    return train(root, tmp_path_factory.mktemp("whole"), *FLAGS, *EVAL)


def weights_of(run_dir, name):
    return torch.load(run_dir / "models" / name, weights_only=True)


def test_an_average_is_that_of_the_formula_and_forgets_faster_at_first():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = MovingAverage(network, decay=0.5)
    expected = {name: value.double() for name, value in network.state_dict().items()}
    for step in range(1, 12):
        for parameter in network.parameters():
            nn.init.normal_(parameter)
        network(torch.randn(5, 3))
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = {n: decay * value + (1 - decay) * network.state_dict()[n] for n, value in expected.items()}
    found = average.encoder.state_dict()
    assert found.pop("1.num_batches_tracked") == 11
    torch.testing.assert_close(found, {name: expected[name].float() for name in found})
    assert not any(parameter.requires_grad for parameter in average.encoder.parameters())


def test_a_run_stopped_within_an_epoch_resumes_to_the_same_average_and_weights(root, whole, tmp_path):
    with stopped_after(step=1):
        train(root, tmp_path, *FLAGS)
    resumed = train(root, tmp_path, *FLAGS, "--resume")
    for name in ("ema_last.pth", "ckpt_epoch_last.pth"):
        assert same(weights_of(resumed, name), weights_of(whole, name))


def test_the_average_changes_no_weight_and_is_kept_only_when_asked_for(root, whole, tmp_path):
    plain = train(root, tmp_path, *FLAGS, "--ema_decay", "0")
    assert same(weights_of(plain, "ckpt_epoch_last.pth"), weights_of(whole, "ckpt_epoch_last.pth"))
    assert not (plain / "models" / "ema_last.pth").exists()
    with pytest.raises(ValueError, match="--ema_decay was 0.0, now 0.9"):
        train(root, tmp_path, *FLAGS, "--resume")


def test_the_average_is_scored_between_epochs_and_by_the_evaluation_program(root, whole, tmp_path):
    assert len(metrics(whole, "svm/modelnet40_val_ema")) == 2
    average, last = (load(whole / "models" / name) for name in ("ema_last.pth", "ckpt_epoch_last.pth"))
    points = torch.rand(2, 64, 3)
    assert not torch.allclose(average(points), last(points))
    assert average.stored["k"] == last.stored["k"] == 5
    assert average.stored["run"]["settings"]["ema_decay"] == 0.9
    words = ("--model_path", whole / "models/ema_last.pth", "--data_root", root, "--num_points", "64")
    call(eval_svm, *words, "--protocol", "knn", "--device", "cpu", "--json", tmp_path / "svm.json")
    assert (tmp_path / "svm.json").is_file()


def test_a_state_without_the_average_is_refused(root, whole, tmp_path):
    state = torch.load(whole / "last.pt", weights_only=True)
    del state["ema"]
    (tmp_path / "tiny").mkdir()
    torch.save(state, tmp_path / "tiny" / "last.pt")
    with pytest.raises(ValueError, match="holds no moving average"):
        train(root, tmp_path, *FLAGS, *EVAL, "--resume")


def test_a_program_that_trains_no_point_encoder_refuses_it(tmp_path, capsys):
    message = error_of(lambda: call(pretrain_images, "--ema_decay", "0.9", "--output_dir", tmp_path), capsys)
    assert "--ema_decay 0.9" in message
