import importlib

import numpy as np
import pytest
import torch

from models.weights import shipped
from models.weights.weight_file import read_weights
from tests.conftest import REPO
from tests.support.shipped_weights import ship_into
from utils.evaluation.comparison import shipped_encoders
from utils.pretrained import load

POINTS = np.random.default_rng(0).random((2, 31, 3))
PROGRAMS = {
    "train_crosspoint": "--model_path",
    "train_partseg": "--pretrained_path",
    "scripts.pretrain_multiview": "--teacher t --model_path",
    "scripts.finetune_cls": "--dataset modelnet40 --pretrained_path",
    "scripts.eval_svm": "--model_path",
    "scripts.eval_fewshot": "--model_path",
    "scripts.plot_tsne": "--out a.png --model_path",
    "scripts.embed": "a.obj --out a.npz --model_path",
    "scripts.export": "--model_path",
    "scripts.classify": "a.obj --model_path",
    "scripts.segment": "a.obj --category chair --out a.ply --model_path",
    "scripts.retrieve": "--shapes data --query a.png --model_path",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return ship_into(tmp_path / "pretrained", monkeypatch, "tiny-open", "other")


def test_a_name_is_loaded_as_its_file_is_also_by_torch_hub(folder):
    expected = load(folder / "tiny-open.safetensors", device="cpu")(POINTS)
    assert np.array_equal(load("tiny-open", device="cpu")(POINTS), expected)
    module = torch.hub.load(str(REPO), "pointnet", source="local", weights="tiny-open")
    assert np.array_equal(module(torch.from_numpy(POINTS).float()).detach().numpy(), expected)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_takes_the_name_for_the_file(program, folder):
    *words, flag = PROGRAMS[program].split()
    args = importlib.import_module(program).parse_args([*words, flag, "tiny-open"])
    assert str(getattr(args, flag.removeprefix("--"))) == str(folder / "tiny-open.safetensors")


def test_records_name_the_file_from_the_folder_of_the_checkout(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert str(shipped.find_weights("other")) == "pretrained/other.safetensors"


def test_a_file_goes_before_a_name_and_anything_else_stays_as_it_is(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").write_text("")
    assert [shipped.find_weights(path) for path in ("other", "./a//b.pth", "")] == ["other", "./a//b.pth", ""]


@pytest.mark.parametrize(
    "names, expected", [(("b", "a"), "or a name of shipped weights: a, b"), ((), "no weights are")]
)
def test_a_name_that_does_not_exist_is_answered_by_those_that_do(names, expected, tmp_path, monkeypatch):
    ship_into(tmp_path / "pretrained", monkeypatch, *names)
    for read in (load, read_weights):
        with pytest.raises(FileNotFoundError, match=f"no checkpoint at dgcnn_open; .*{expected}"):
            read("dgcnn_open")
    with pytest.raises(FileNotFoundError, match="written by training$"):
        read_weights("run/weights.pth")


def test_where_a_name_is_not_taken_for_its_file_the_file_is_named(folder):
    with pytest.raises(FileNotFoundError, match="no checkpoint at other; ") as error:
        read_weights("other")
    expected = "expected a file; the weights shipped under this name, of a point encoder, are"
    assert str(error.value) == f"no checkpoint at other; {expected} {folder / 'other.safetensors'}"


def test_only_shipped_weights_of_the_same_encoder_are_compared(folder, tmp_path, monkeypatch):
    assert list(shipped_encoders("tiny-open")) == ["other", "tiny-open"]
    other = ship_into(tmp_path / "of_dgcnn", monkeypatch, "dgcnn-open", model="dgcnn") / "dgcnn-open.safetensors"
    monkeypatch.setattr(shipped, "SHIPPED", folder)
    assert list(shipped_encoders(other)) == []
