"""`python -m scripts.eval_svm` on tiny trees in the real layouts."""

import hashlib
import json
from itertools import combinations

import numpy as np
import pytest
import torch

from models.encoders.registry import ENCODERS, build_encoder, has_graph, published_width
from models.weights.published import export_state
from scripts import eval_svm
from tests.support.entry_programs import error_of, write_encoder
from tests.support.program_calls import run
from tests.support.small_towers import shrink
from tests.support.tiny_trees import labelled, write_h5, write_modelnet40, write_scanobjectnn
from utils.evaluation import encoder_scores
from utils.results.tasks import protocol_name, setting_of

PROTOCOLS = ["published", "fair", "knn"]


@pytest.fixture(scope="module")
def modelnet(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_modelnet40(root)
    return root


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("models") / "best_model.pth", k=7)


def evaluate(*flags, root):
    run(eval_svm, "--data_root", root, "--num_points", 61, "--device", "cpu", *flags)


def report_of(*flags, tmp_path, **options):
    path = tmp_path / "results.json"
    evaluate(*flags, "--json", path, **options)
    return json.loads(path.read_text())


def message_of(*flags, capsys, **options):
    return error_of(lambda: evaluate(*flags, **options), capsys)


def test_the_report_holds_every_protocol_with_its_constants(modelnet, checkpoint, tmp_path):
    report = report_of("--model_path", checkpoint, "--seed", 5, root=modelnet, tmp_path=tmp_path)
    assert [record["protocol"] for record in report["results"]] == PROTOCOLS
    for record in report["results"]:
        assert record["accuracy"] in (0, 1 / 3, 2 / 3, 1)
        assert (record["dataset"], record["split"]) == ("modelnet40", "test")
        assert (record["model"], record["k"], record["num_points"], record["normalize"]) == ("dgcnn", 7, 61, False)
        assert (record["num_train"], record["num_test"], record["num_classes"]) == (6, 3, 3)
        assert record["checkpoint"] == str(checkpoint)
        assert record["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        assert record["seed"] == 5
    assert report["results"][0]["c"] == 0.1
    assert report["results"][1]["num_folds"] == 5


def test_the_multiview_protocols_say_what_they_chose(modelnet, checkpoint, capsys, tmp_path):
    report = report_of("--model_path", checkpoint, "--protocol", "multiview", root=modelnet, tmp_path=tmp_path)
    assert [record["protocol"] for record in report["results"]] == ["linear_c1", "rbf", "rbf_grid"]
    chosen = report["results"][2]
    assert f"c {chosen['c']}" in (printed := capsys.readouterr().out)
    assert f"gamma {chosen['gamma']}" in printed


def test_one_result_line_for_each_protocol_and_every_constant_is_printed(modelnet, checkpoint, capsys):
    evaluate("--model_path", checkpoint, root=modelnet)
    printed = capsys.readouterr().out
    results = [line for line in printed.splitlines() if line.startswith("result ")]
    assert [line.split("protocol=")[1].split()[0] for line in results] == PROTOCOLS
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    for constant in ("k 7", "num_points 61", "normalize False", "num_train 6", "num_test 3", digest, "c_grid", "c 0.1"):
        assert constant in printed, constant


@pytest.mark.parametrize("model", list(ENCODERS))
def test_an_untrained_encoder_of_each_model_is_scored(model, modelnet, tmp_path, monkeypatch):
    shrink(monkeypatch)
    report = report_of("--random_init", "--model", model, "--protocol", "knn", root=modelnet, tmp_path=tmp_path)
    (record,) = report["results"]
    assert (record["model"], record["weights"], record["checkpoint"]) == (model, "random", None)
    assert record["k"] == (15 if has_graph(model) else None)
    assert record["emb_dims"] == published_width(model)


def features_given(monkeypatch, *flags, root):
    """Return the features of the train split that the protocols receive."""
    seen = []
    monkeypatch.setattr(encoder_scores, "run_protocols", lambda features, *rest, **options: seen.append(features) or [])
    evaluate(*flags, root=root)
    return seen[0]


@pytest.mark.parametrize(
    "flag",
    [
        *(("--seed", 1), ("--k", 9), ("--normalize",), ("--model", "pointnet"), ("--emb_dims", 32), ("--copies", 2)),
        ("--layers", "all"),
        ("--whiten", 0.01),
    ],
)
def test_each_flag_of_the_features_changes_them(flag, modelnet, monkeypatch):
    plain = features_given(monkeypatch, "--random_init", root=modelnet)
    changed = features_given(monkeypatch, "--random_init", *flag, root=modelnet)
    assert plain.shape != changed.shape or not np.allclose(plain, changed)


def test_the_same_seed_gives_the_same_untrained_encoder_whatever_the_batch(modelnet, monkeypatch):
    plain = features_given(monkeypatch, "--random_init", root=modelnet)
    assert np.allclose(plain, features_given(monkeypatch, "--random_init", "--batch_size", 1, root=modelnet), atol=1e-5)


def test_the_constant_of_the_published_protocol_can_be_set(modelnet, tmp_path):
    flags = ("--random_init", "--protocol", "published", "--c", 0.01)
    assert report_of(*flags, root=modelnet, tmp_path=tmp_path)["results"][0]["c"] == 0.01


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("copies", 3, "mean of 3 turned copies"),
        ("layers", "all", "all layers"),
        ("whiten", 0.02, "whitened at 0.02"),
    ],
)
def test_unusual_features_are_recorded_and_stand_in_a_row_of_their_own(name, value, words, modelnet, tmp_path, capsys):
    flags = ("--random_init", "--model", "pointnet", "--protocol", "knn")
    plain = report_of(*flags, root=modelnet, tmp_path=tmp_path)["results"][0]
    (record,) = report_of(*flags, f"--{name}", value, root=modelnet, tmp_path=tmp_path)["results"]
    assert (name in plain, record[name]) == (False, value)
    assert f"{name}={value}" in capsys.readouterr().out
    assert (setting_of(plain), setting_of(record)) == ("", words)
    assert protocol_name(record | {"setting": words}) == f"{protocol_name(plain | {'setting': ''})}, {words}"


def test_layers_of_an_encoder_that_offers_none_are_refused(modelnet, capsys):
    message = message_of("--random_init", "--model", "pointmlp", "--layers", "all", root=modelnet, capsys=capsys)
    assert "--layers all: pointmlp does not offer its layers, as dgcnn, dgcnn_seg, pointnet" in message


def test_each_scanobjectnn_variant_is_read_and_recorded(tmp_path, monkeypatch):
    write_scanobjectnn(tmp_path)
    flags = ("--random_init", "--dataset", "scanobjectnn", "--protocol", "knn")
    (record,) = report_of(*flags, "--variant", "hardest", root=tmp_path, tmp_path=tmp_path)["results"]
    assert (record["dataset"], record["variant"], record["num_classes"]) == ("scanobjectnn", "hardest", 15)
    variants = ("obj_bg", "obj_only", "hardest")
    features = [features_given(monkeypatch, *flags, "--variant", variant, root=tmp_path) for variant in variants]
    assert not any(np.allclose(a, b) for a, b in combinations(features, 2))


def test_another_k_than_the_trained_one_is_warned_of(modelnet, checkpoint, capsys):
    evaluate("--model_path", checkpoint, "--k", 11, "--protocol", "knn", root=modelnet)
    assert f"warning: --k 11, but {checkpoint} was trained with k 7" in capsys.readouterr().err


def test_clouds_of_very_unequal_size_are_warned_of_unless_normalised(tmp_path, capsys):
    train = labelled([0, 1, 0, 1])
    train["data"][2] *= 1000
    write_h5(tmp_path / "ply_data_train0.h5", **train)
    write_h5(tmp_path / "ply_data_test0.h5", **labelled([0, 1]))
    evaluate("--random_init", "--protocol", "knn", root=tmp_path)
    assert "clouds differ in size" in capsys.readouterr().err
    evaluate("--random_init", "--protocol", "knn", "--normalize", root=tmp_path)
    assert not capsys.readouterr().err


def test_weights_or_data_at_fault_are_one_message(modelnet, checkpoint, tmp_path, capsys):
    missing, damaged = tmp_path / "no.pth", tmp_path / "cut.pth"
    damaged.write_bytes(b"PK\x03\x04 cut short")
    other = "these are weights of dgcnn, not of --model pointnet"
    for flags, root, expected in (
        (("--model_path", missing), modelnet, f"error: no checkpoint at {missing}"),
        (("--model_path", damaged), modelnet, f"error: {damaged} is damaged"),
        (("--model_path", checkpoint, "--model", "pointnet"), modelnet, f"error: {checkpoint}: {other}"),
        (("--random_init",), tmp_path / "nowhere", "error: no ModelNet40 train shards"),
    ):
        message = message_of(*flags, root=root, capsys=capsys)
        assert message.startswith(expected)
    assert "python -m data.make_shapes" in message


@pytest.mark.parametrize(
    "flags, expected",
    [
        (("--variant", "obj_bg"), "--variant obj_bg belongs to --dataset scanobjectnn"),
        (("--k", "0"), "--k must be at least 1"),
        (("--c", "0"), "--c must be > 0"),
        (("--batch_size", "0"), "a batch must hold at least 1 cloud"),
        (("--k", "62"), "k = 62"),
        (("--device", "tpu9"), "--device tpu9"),
    ],
)
def test_a_flag_out_of_range_is_one_message(flags, expected, modelnet, capsys):
    flags = ("--random_init", "--protocol", "published", *flags)
    assert expected in message_of(*flags, root=modelnet, capsys=capsys)


def test_a_report_at_a_folder_is_refused_before_the_work(modelnet, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(eval_svm, "score_encoder", lambda *args: pytest.fail("the work has begun"))
    message = message_of("--random_init", "--json", tmp_path, root=modelnet, capsys=capsys)
    assert "is a folder" in message


@pytest.mark.parametrize("flags", [[], ["--random_init", "--model_path", "a.pth"]])
def test_exactly_one_encoder_has_to_be_named(flags, capsys):
    with pytest.raises(SystemExit) as ended:
        eval_svm.parse_args(flags)
    assert ended.value.code == 2
    assert "--model_path" in capsys.readouterr().err


def test_weights_that_saw_labels_are_warned_of(modelnet, tmp_path, capsys):
    weights = export_state(build_encoder("pointnet", 5), "pointnet") | {"classifier.0.weight": torch.zeros(1)}
    torch.save(weights, tmp_path / "tuned.pth")
    evaluate("--model_path", tmp_path / "tuned.pth", root=modelnet)
    assert "tuned.pth was fine-tuned with labels" in capsys.readouterr().err
