"""safetensors, ONNX, torch.hub: the same features as from the weight file; the card says what the file is."""

import json
import sys

import pytest
import torch
from torch.testing import assert_close

from models.encoders.registry import build_encoder
from models.methods.classification import CloudClassifier
from models.weights.weight_file import read_weights
from scripts import export
from tests.conftest import REPO
from tests.support.entry_programs import error_of, write_encoder
from tests.support.tiny_runs import write_state
from utils.classification.classifier_weights import classifier_state, load_network
from utils.pretrained import load
from utils.run.provenance import file_sha256
from utils.run.run_note import note_run
from utils.settings import Record

POINTS = torch.rand(3, 61, 3, generator=torch.Generator().manual_seed(1)) - 0.5
ONNX = ("onnx", "onnxscript", "onnxruntime")


def run(*flags):
    export.main(export.parse_args([str(flag) for flag in flags]))


def needs(*packages):
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed: pip install -r requirements-export.txt")


@pytest.mark.parametrize("write", [lambda path: write_encoder(path, k=7), lambda path: write_state(path, k=7)])
def test_safetensors_holds_every_tensor_and_gives_the_same_features(write, tmp_path):
    path = write(tmp_path / "weights.pth")
    run("--model_path", path, "--format", "safetensors")
    before, after = load(path, device="cpu"), load(tmp_path / "weights.safetensors", device="cpu")
    assert torch.equal(after(POINTS), before(POINTS))
    assert (after.module.k, after.stored["model"], after.report.loaded) == (7, "dgcnn", before.report.loaded)


def test_a_fine_tuned_network_is_read_from_safetensors_with_its_classes_and_scores(tmp_path):
    path, record = (
        tmp_path / "best_model.pth",
        Record({"lr": 0.1, "dataset": "modelnet40", "out": "a"}, frozenset({"out"})),
    )
    network = CloudClassifier(build_encoder("pointnet"), 2)
    clouds = {"num_points": 61, "normalize": True, "radius": [1, 1, 1], "offset": 0}
    origin = {"class_names": ["chair", "lamp"], "num_points": 61, "normalize": True}
    state = classifier_state(network, "pointnet", None, origin, clouds)
    note_run(state, "Classification", record)
    torch.save(state, path)
    scores = [{"network_sha256": file_sha256(path), "accuracy": 0.5, "seed": 3}, {"network_sha256": "other"}]
    (tmp_path / "results.json").write_text(json.dumps({"results": scores}))
    run("--model_path", path, "--out", tmp_path / "net.safetensors", "--scores", tmp_path / "results.json")
    read, found = load_network(tmp_path / "net.safetensors")
    assert_close(dict(read.state_dict()), dict(network.state_dict()), rtol=0, atol=0)
    assert found == origin
    card = json.loads((tmp_path / "net.safetensors.json").read_text())
    assert (card["task"], card["classes"], card["scores"]) == ("classification", ["chair", "lamp"], scores[:1])
    assert card["run"]["method"] == "Classification"
    assert (card["run"]["settings"], card["run"]["data"]) == (
        {"lr": 0.1, "dataset": "modelnet40"},
        {"dataset": "modelnet40"},
    )
    assert card["transform"] == {"up_axis": "y", "num_points": 61, "scaling": "unit", "reason": "as in training"}
    assert card["licence"].startswith("MIT")


def test_exporting_again_keeps_the_scores_and_the_licence_of_earlier_cards(tmp_path, capsys):
    path = write_encoder(tmp_path / "weights.pth", "pointnet")
    scores = [{"checkpoint_sha256": file_sha256(path), "accuracy": 0.5, "seed": seed} for seed in (3, 4)]
    for number in (0, 1):
        (tmp_path / f"{number}.json").write_text(json.dumps({"results": scores[: number + 1]}))

    def card(source, out, *flags):
        run("--model_path", source, "--out", tmp_path / out, *flags)
        read = json.loads((tmp_path / f"{out}.json").read_text())
        return read["scores"], read["licence"]

    assert card(path, "a.safetensors", "--scores", tmp_path / "0.json", "--licence", "CC0") == (scores[:1], "CC0")
    assert card(path, "a.safetensors") == (scores[:1], "CC0")
    assert card(path, "b.pt2", "--scores", tmp_path / "1.json") == (scores, "CC0")
    assert card(tmp_path / "a.safetensors", "new/c.safetensors", "--licence", "MIT") == (scores[:1], "MIT")
    (tmp_path / "b.pt2.json").write_text("{")
    message = error_of(lambda: run("--model_path", path, "--out", tmp_path / "a.safetensors"), capsys)
    assert message.startswith(f"error: {tmp_path / 'b.pt2.json'} is a damaged card (")


def test_a_report_of_other_weights_is_refused_and_nothing_is_written(tmp_path, capsys):
    path = write_encoder(tmp_path / "weights.pth", "pointnet")
    records = [
        {"weights": "checkpoint", "checkpoint": "runs/b/last.pth", "checkpoint_sha256": "0ff"},
        {"weights": "random", "checkpoint": None, "checkpoint_sha256": None},
        {"network": "parts/best_model.pth", "network_sha256": "abc"},
    ]
    flags = ("--model_path", path, "--out", tmp_path / "a.safetensors", "--scores", tmp_path / "r.json")
    expected = (
        "runs/b/last.pth (sha256 0ff), random weights, parts/best_model.pth (sha256 abc)",
        "random weights",
        "no weights",
    )
    for results, found in zip((records, records[1:2], []), expected):
        (tmp_path / "r.json").write_text(json.dumps({"results": results}))
        assert error_of(lambda: run(*flags), capsys) == (
            f"error: {tmp_path / 'r.json'} has no figure of {path} (sha256 {file_sha256(path)}), but of {found}: score "
            "these weights, or leave this report out"
        )
    assert sorted(file.name for file in tmp_path.iterdir()) == ["r.json", "weights.pth"]


def test_a_changed_byte_of_a_safetensors_file_is_noticed(tmp_path):
    run("--model_path", write_encoder(tmp_path / "weights.pth", "pointnet"), "--format", "safetensors")
    path = tmp_path / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged: its tensors are not those that were written"):
        read_weights(path)
    path.write_bytes(content[:100])
    with pytest.raises(ValueError, match="is no readable .safetensors file"):
        read_weights(path)


def test_onnx_gives_the_features_of_torch_for_any_number_of_clouds_and_points(tmp_path, capsys):
    needs(*ONNX)
    path = write_encoder(tmp_path / "weights.pth", k=2)
    run("--model_path", path, "--format", "onnx")
    assert capsys.readouterr().out.count("ONNX graph deviates by") == 3
    torch_features, onnx_features = load(path, device="cpu"), load(tmp_path / "weights.onnx", device="cpu")
    for points in (POINTS, POINTS[:1, :2], POINTS[:2, :30]):
        assert_close(onnx_features(points), torch_features(points), rtol=0, atol=1e-5)
    assert (onnx_features.name, onnx_features.is_pretrained, onnx_features.module.k) == ("dgcnn", True, 2)
    with pytest.raises(ValueError, match="clouds have 1 points but k = 2"):
        onnx_features(POINTS[:, :1])


def test_an_onnx_graph_that_deviates_is_not_written(tmp_path, capsys, monkeypatch):
    path = write_encoder(tmp_path / "weights.pth", "pointnet")
    monkeypatch.setattr(export, "onnx_bytes", lambda program, card: b"")
    monkeypatch.setattr(export, "onnx_encoder", lambda content: lambda points: load(path)(points) + 1e-3)
    message = error_of(lambda: run("--model_path", path, "--format", "onnx"), capsys)
    assert message.startswith("error: the exported ONNX graph deviates by")
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pth"]


def test_the_check_allows_other_neighbours_in_some_clouds_and_no_more(capsys):
    deviations = torch.tensor([3e-7, 4e-7, 2e-3])
    export.check("graph", {"3 x 50": deviations}, has_neighbours=True)
    line = "check: 3 x 50 points, graph deviates by 4.0e-07, in 1 of 3 clouds by up to 2.0e-03"
    assert capsys.readouterr().out == f"{line}\n"
    for wrong, has_neighbours in (
        (deviations, False),
        (deviations * 20, True),
        (torch.tensor([3e-7, 2e-3, 2e-3]), True),
        (deviations * torch.nan, True),
    ):
        with pytest.raises(ValueError, match=r"the exported graph deviates by .* on 3 x 50 points, more than 1e-05"):
            export.check("graph", {"3 x 50": wrong}, has_neighbours=has_neighbours)


@pytest.mark.parametrize(
    "suffix, missing, expected",
    [
        (
            "safetensors",
            "safetensors",
            "writing .safetensors needs the package safetensors: pip install -r requirements",
        ),
        (
            "onnx",
            "onnxscript",
            "ONNX needs the packages onnx, onnxscript and onnxruntime: pip install -r requirements-export",
        ),
    ],
)
def test_without_the_packages_one_line_says_what_to_install(suffix, missing, expected, tmp_path, capsys, monkeypatch):
    for name in (missing, f"{missing}.torch"):
        monkeypatch.setitem(sys.modules, name, None)
    path = write_encoder(tmp_path / "weights.pth", "pointnet")
    message = error_of(lambda: run("--model_path", path, "--format", suffix), capsys)
    assert message == f"error: {expected}.txt"


def test_a_program_file_loads_as_an_encoder_and_through_torch_hub(tmp_path):
    path = write_encoder(tmp_path / "weights.pth", "pointnet")
    run("--model_path", path, "--out", tmp_path / "encoder.pt2")
    expected = load(path, device="cpu")(POINTS)
    assert_close(load(tmp_path / "encoder.pt2")(POINTS), expected, rtol=0, atol=1e-5)
    for file in (path, tmp_path / "encoder.pt2"):
        encoder = torch.hub.load(str(REPO), "pointnet", source="local", weights=str(file))
        assert_close(encoder(POINTS).detach(), expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="holds weights of pointnet: load it by that name, not as dgcnn"):
        torch.hub.load(str(REPO), "dgcnn", source="local", weights=str(path))
    with pytest.raises(ValueError, match="exported with k None, got k 3"):
        load(tmp_path / "encoder.pt2", k=3)
    (tmp_path / "encoder.pt2").write_bytes(b"PK broken")
    with pytest.raises(ValueError, match="is no encoder that scripts.export wrote"):
        load(tmp_path / "encoder.pt2")


@pytest.mark.parametrize(
    "flags, expected",
    [
        (("--format", "onnx", "--out", "a.pt2"), "--out a.pt2 has the suffix of --format pt2, got --format onnx"),
        (("--out", "weights.pth"), "--out weights.pth is --model_path itself"),
        (("--out", "other.pth"), "--out other.pth: expected one of .safetensors, .pt2, .onnx, or --format"),
    ],
)
def test_a_file_of_another_format_and_the_weights_themselves_are_not_written(
    flags, expected, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write_encoder(tmp_path / "weights.pth", "pointnet")
    assert expected in error_of(lambda: run("--model_path", "weights.pth", *flags), capsys)
