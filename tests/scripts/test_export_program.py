"""`python -m scripts.export`: the file it writes runs without this repository and computes the encoder's features."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from models.encoders.registry import build_encoder
from models.encoders.scenes.sr_unet import SRUNet
from models.weights.published import export_state
from models.weights.sr_unet_file import backbone_state
from scripts import export
from tests.support.program_calls import message_of, run
from tests.support.tiny_detection import tiny_votenet
from tests.support.tiny_rooms import tiny_plan
from utils.semseg.semseg_weights import network_state

ELSEWHERE = """
import sys, torch
origin = {"encoder.json": ""}
module = torch.export.load(sys.argv[1], extra_files=origin).module()
print(origin["encoder.json"])
torch.save([module(points) for points in torch.load(sys.argv[2])], sys.argv[3])
"""


def saved(encoder, name, folder):
    """Write the weights of an encoder with random running variances."""
    for norm in encoder.modules():
        if isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d)):
            norm.running_var.uniform_(0.5, 2)
    torch.save(export_state(encoder, name, k=5), folder / "best_model.pth")
    return folder / "best_model.pth"


@pytest.fixture
def pointnet(tmp_path):
    return saved(build_encoder("pointnet"), "pointnet", tmp_path)


def test_a_fresh_process_without_this_repository_computes_the_same(tmp_path, capsys):
    torch.manual_seed(3)
    encoder = build_encoder("dgcnn", k=3).eval()
    checkpoint = saved(encoder, "dgcnn", tmp_path)  # it says k 5
    run(export, "--model_path", checkpoint, "--k", 3, "--out", tmp_path / "new" / "encoder.pt2")
    printed = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("check: ") for line in printed) == 3
    assert printed[-1].endswith("points (B, N, 3) float32 -> feature (B, 2048)")
    clouds = [torch.rand(batch, num_points, 3) for batch, num_points in ((1, 7), (3, 61), (2, 23))]
    torch.save(clouds, tmp_path / "clouds.pt")
    files = [str(path) for path in (tmp_path / "new" / "encoder.pt2", tmp_path / "clouds.pt", tmp_path / "features.pt")]
    command = [sys.executable, "-I", "-W", "error", "-c", ELSEWHERE, *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    origin = json.loads(done.stdout)
    assert (origin["model"], origin["k"], origin["feature_dim"]) == ("dgcnn", 3, 2048)
    with torch.inference_mode():
        for points, feature in zip(clouds, torch.load(tmp_path / "features.pt"), strict=True):
            assert_close(feature, encoder(points), rtol=1e-4, atol=1e-4)


def test_a_program_that_deviates_is_not_written_over_an_older_one(pointnet, tmp_path, capsys, monkeypatch):
    wrong = export.export_encoder(build_encoder("pointnet"))
    monkeypatch.setattr(export, "export_encoder", lambda encoder: wrong)
    (tmp_path / "encoder.pt2").write_text("older")
    message = message_of(capsys, export, "--model_path", pointnet, "--out", tmp_path / "encoder.pt2")
    assert message.startswith("error: the exported program deviates by")
    assert (tmp_path / "encoder.pt2").read_text() == "older"


@pytest.mark.parametrize(
    "flags, expected",
    [
        (("--k", 0, "--out", "a.pt2"), "--k must be at least 1, got 0"),
        (("--model_path", "no.pth", "--out", "a.pt2"), "error: no checkpoint at"),
        (("--out", "."), "--out . is a folder; name a file in it"),
    ],
)
def test_flags_that_do_not_fit_are_one_message(flags, expected, pointnet, capsys):
    assert expected in message_of(capsys, export, "--model_path", pointnet, *flags)


def segmenter():
    with tiny_plan():
        return network_state(SRUNet(3, 2, "14A"), {"model": "sr_unet 14A", "class_names": ["floor", "wall"]})


def scene_network():
    with tiny_plan():
        return backbone_state(SRUNet(3, 2, "14A"), 0.025)


@pytest.mark.parametrize(
    "make, expected",
    [
        (segmenter, "a network of rooms by scripts.train_semseg, which scripts.segment reads as it is"),
        (lambda: tiny_votenet().state_dict(), "a VoteNet, the detector of rooms that scripts.train_detection trains"),
        (scene_network, "an SR-UNet, the network of rooms that scripts.pretrain_scenes trains; scripts.train_semseg"),
    ],
)
def test_networks_of_rooms_are_refused_by_what_they_are(make, expected, tmp_path, capsys):
    torch.save(make(), tmp_path / "best_model.pth")
    words = ("--model_path", tmp_path / "best_model.pth", "--out", tmp_path / "a.safetensors")
    found = f"error: {tmp_path / 'best_model.pth'}: expected a point encoder, found {expected}"
    assert message_of(capsys, export, *words).startswith(found)
    assert [path.name for path in tmp_path.iterdir()] == ["best_model.pth"]
