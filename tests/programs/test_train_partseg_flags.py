"""train_partseg.py: one category, custom sets, fewer labels, other networks, voting, example pictures."""

import json
import shutil
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import part_names, part_table
from datasets.parts.part_task import PartTask
from models.encoders.dgcnn_seg import DGCNNPartSeg
from models.encoders.registry import build_encoder
from models.weights.published import load_encoder, stored_origin
from models.weights.weight_file import read_weights
from scripts import segment
from tests.support.entry_programs import call, write_encoder
from tests.support.light_runs import built_by, flags_of, log_of, metrics, same, weights
from tests.support.part_runs import read_records, run_partseg, write_part_tree
from tests.support.tiny_trees import cloud
from utils.parts.part_weights import build_for, start_from

OWN = {"drill": ["bit", "body"], "saw": ["blade", "handle", "guard"], "vice": ["jaw", "base"]}

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_part_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory, light_training):
    """Run folder of the command as it is, two pictures a category."""
    return run_partseg(root, tmp_path_factory.mktemp("plain"), pictures=2)


@pytest.fixture(scope="module")
def own(tmp_path_factory, light_training):
    """A custom set, the file that names its parts, and a run on it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "tools.json").write_text(json.dumps(OWN))
    root = write_part_tree(folder, part_table(OWN), (0, 1, 2))
    return root, str(folder / "tools.json"), run_partseg(root, folder / "runs", "--parts", str(folder / "tools.json"))


@pytest.fixture(scope="module")
def airplane(root, tmp_path_factory, light_training):
    """A run on one category."""
    return run_partseg(root, tmp_path_factory.mktemp("airplane"), "--class_choice", "airplane", "--batch_size", "2")


def evaluate(root, run_dir, out, *flags, **options):
    """Score the network of a run; return the records."""
    run_partseg(root, run_dir.parent, "--eval", "--json", out / "again.json", *flags, **options)
    return read_records(out / "again.json")


def best(run_dir):
    return run_dir / "models" / "best_model.pth"


def test_one_category_is_trained_and_tested_with_its_own_parts_alone(airplane):
    record = read_records(airplane)["all_parts"]
    assert (record["variant"], record["num_train"], record["num_test"]) == ("airplane", 3, 3)
    assert (record["num_classes"], record["num_parts"], list(record["miou_by_category"])) == (1, 4, ["airplane"])
    assert read_weights(best(airplane))["conv11.weight"].shape == (4, 128, 1)


def test_eval_knows_the_category_a_network_was_trained_on(root, airplane, tmp_path):
    for flags in ((), ("--class_choice", "airplane")):
        assert evaluate(root, airplane, tmp_path, *flags) == read_records(airplane)
    with pytest.raises(ValueError, match="--class_choice bag: the network was trained on airplane alone"):
        run_partseg(root, airplane.parent, "--eval", "--class_choice", "bag")


def test_eval_of_a_network_of_all_categories_on_one(root, plain, tmp_path):
    for protocol, record in evaluate(root, plain, tmp_path, "--class_choice", "airplane").items():
        assert (record["variant"], record["num_test"], record["num_parts"]) == ("airplane", 3, 50)
        assert record["miou_by_category"]["airplane"] == read_records(plain)[protocol]["miou_by_category"]["airplane"]


def test_eval_with_another_number_of_points_than_trained_is_a_warning(root, plain, tmp_path, capsys):
    evaluate(root, plain, tmp_path)
    assert "warning" not in capsys.readouterr().out
    evaluate(root, plain, tmp_path, "--num_points", "40")
    assert "warning: trained with --num_points 32, scored with 40\n" in capsys.readouterr().out


def test_the_published_name_of_motorbike_is_understood(tmp_path):
    root = write_part_tree(tmp_path, indices=(10, 1, 10))
    training = built_by(lambda: run_partseg(root, tmp_path, "--class_choice", "motor"))
    assert len(training.loader.dataset) == 5  # of eight, the bags left out
    assert flags_of(tmp_path / "tiny")["class_choice"] == "motorbike"


def test_a_custom_set_is_trained_with_its_table(own):
    _, _, run_dir = own
    record = read_records(run_dir)["category_parts"]
    assert (record["dataset"], record["num_classes"], record["num_parts"]) == ("tools", 3, 7)
    assert list(record["miou_by_category"]) == list(OWN)
    assert stored_origin(read_weights(best(run_dir)))["parts"] == OWN
    assert flags_of(run_dir)["parts"] == OWN


def test_eval_knows_the_table_a_network_was_trained_with(own, tmp_path):
    root, path, run_dir = own
    for flags in ((), ("--parts", path)):
        assert evaluate(root, run_dir, tmp_path, *flags) == read_records(run_dir)


def test_a_cloud_is_segmented_into_the_parts_of_the_table(own, tmp_path, capsys):
    _, _, run_dir = own
    source, out = tmp_path / "saw.npy", tmp_path / "out.ply"
    np.save(source, 1000 * cloud(0))
    call(segment, source, "--model_path", best(run_dir), "--category", "saw", "--out", out)
    shares = capsys.readouterr().out.splitlines()[-4:-1]
    assert [line.split(":")[0] for line in shares] == [f"saw {part}" for part in OWN["saw"]]
    header = out.read_bytes().split(b"end_header")[0].decode()
    assert "comment part 0 blade\ncomment part 1 handle\ncomment part 2 guard\nelement vertex 97\n" in header


def test_eval_with_another_table_is_refused_with_the_difference(own, tmp_path):
    root, _, run_dir = own
    other = tmp_path / "other.json"
    other.write_text(json.dumps(OWN | {"saw": ["blade", "handle", "tooth"]}))
    with pytest.raises(ValueError, match=r"other categories or parts than those of --parts: \{'saw': .*'guard'.*tooth"):
        run_partseg(root, run_dir.parent, "--eval", "--parts", str(other))
    other.write_text(json.dumps(OWN | {"file": ["edge"]}))
    with pytest.raises(ValueError, match="3 categories there, 4 in --parts"):
        run_partseg(root, run_dir.parent, "--eval", "--parts", str(other))


def test_a_run_is_not_resumed_with_another_table(own, tmp_path):
    root, _, run_dir = own
    other = tmp_path / "tools.json"
    other.write_text(json.dumps(OWN | {"drill": ["bit", "motor"]}))
    with pytest.raises(ValueError, match="cannot resume with other settings.*--parts was .*body.*, now .*motor"):
        run_partseg(root, run_dir.parent, "--resume", "--parts", str(other))


def test_a_published_file_is_scored_on_the_table_that_is_given(own, shared):
    root, path, run_dir = own
    published = str(shared / "golden" / "dgcnn_partseg_finetune.pth")
    with pytest.raises(ValueError, match=r"no fine-tuned part segmentation network.*of another shape: conv11\.weight"):
        run_partseg(root, run_dir.parent, "--eval", "--parts", path, "--model_path", published)


@pytest.mark.parametrize("model", ["dgcnn", "pointnet", "pointnet_tnet"])
def test_every_network_trains_from_a_pre_trained_encoder_and_is_scored_again(root, tmp_path, model):
    write_encoder(tmp_path / "pre.pth", model)
    flags = ("--model", model, "--select", "last")
    tuned = run_partseg(root, tmp_path / "tuned", *flags, "--pretrained_path", tmp_path / "pre.pth")
    num_tensors = len(build_encoder(model).state_dict())
    assert f"pre.pth: {num_tensors} of {num_tensors} encoder tensors loaded" in (log := log_of(tuned))
    warning = f"warning: --k 4, but {tmp_path / 'pre.pth'} was trained with k 15"
    assert (warning in log) == (model == "dgcnn")
    record = read_records(tuned)["all_parts"]
    assert (record["model"], record["k"]) == (model, 4 if model == "dgcnn" else None)
    assert (record["weights"], record["checkpoint"]) == ("checkpoint", str(tmp_path / "pre.pth"))
    assert len(record["checkpoint_sha256"]) == 64
    assert record["encoder_seed"] is None
    assert evaluate(root, tuned, tmp_path, "--model", model) == read_records(tuned)


def test_the_published_pointnet_takes_what_its_map_names_of_an_encoder_and_says_how_much(root, tmp_path):
    source = load_encoder(write_encoder(tmp_path / "pre.pth", "pointnet_tnet")).encoder.state_dict()
    network = build_for(PartTask(), "pointnet_seg", 4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert str(start_from(network, tmp_path / "pre.pth", "pointnet_seg", 4).report).startswith(
        "41 of 109 encoder tensors"
    )
    after = network.state_dict()
    assert torch.equal(after["conv1.0.weight"], source["mlp1.0.weight"])
    assert torch.equal(after["conv2.0.bias"], source["mlp2.3.bias"])
    assert torch.equal(after["stn1.mlp2.3.weight"], source["stn1.mlp2.3.weight"])
    changed = {key.split(".")[0] for key in after if not torch.equal(after[key], before[key])}
    assert changed == {"stn1", "conv1", "conv2"}
    flags = ("--model", "pointnet_seg", "--select", "last", "--transform_weight", "0.001")
    tuned = run_partseg(root, tmp_path / "tuned", *flags, "--pretrained_path", tmp_path / "pre.pth")
    assert "pre.pth: 41 of 109 encoder tensors loaded" in log_of(tuned)
    assert min(metrics(tuned, "loss/transform")) > 0
    assert evaluate(root, tuned, tmp_path, "--model", "pointnet_seg") == read_records(tuned)
    write_encoder(tmp_path / "other.pth", "pointnet")
    with pytest.raises(ValueError, match="weights of pointnet, not of --model pointnet_tnet"):
        start_from(network, tmp_path / "other.pth", "pointnet_seg", 4)


def test_weights_of_another_network_are_refused_with_the_flag_to_pass(root, plain):
    with pytest.raises(ValueError, match="holds a dgcnn_seg network, got --model pointnet; pass --model dgcnn_seg"):
        run_partseg(root, plain.parent, "--eval", "--model", "pointnet")


def test_a_share_of_the_labels_and_steps_in_whole_epochs_are_recorded(root, tmp_path):
    run_dir = run_partseg(root, tmp_path, "--label_fraction", "0.5", "--batch_size", "2", "--steps", "5")
    record = read_records(run_dir)["all_parts"]
    assert (record["label_fraction"], record["num_train"], record["num_test"]) == (0.5, 5, 5)
    assert len(metrics(run_dir)) == record["epochs"] == 3  # of two steps each


def test_val_is_scored_every_eval_freq_epochs_and_in_the_last(root, tmp_path):
    run_dir = run_partseg(root, tmp_path, "--epochs", "5", "--eval_freq", "2")
    assert len(metrics(run_dir)) == 5
    assert len(metrics(run_dir, "part_seg/val_accuracy")) == 3
    assert [f"epoch {epoch} val" in log_of(run_dir) for epoch in range(5)] == [False, True, False, True, True]


def test_the_test_split_may_be_scored_by_votes_and_the_record_says_so(root, tmp_path):
    flags = ("--model", "pointnet", "--select", "last")
    run_dir = run_partseg(root, tmp_path, *flags, "--no-use_sgd", "--lr", "0.003", "--epochs", "9")
    voted = evaluate(root, run_dir, tmp_path, *flags, "--votes", "5")["category_parts"]
    once = read_records(run_dir)["category_parts"]
    assert (once["voting"], voted["voting"]) == (False, 5)
    assert once["miou_instance"] != voted["miou_instance"]


def test_a_run_shows_true_and_predicted_parts(plain):
    with np.load(plain / "part_clouds.npz", allow_pickle=False) as file:
        arrays = dict(file)
    assert arrays["category"].tolist() == ["airplane", "airplane", "bag", "table"]
    assert arrays["points"].shape == (4, 32, 3)
    with Image.open(plain / "parts.png") as image:
        assert image.width > 500


def test_the_examples_of_an_evaluation_stand_beside_its_report(root, plain, tmp_path):
    before = [(plain / name).stat().st_mtime_ns for name in ("part_clouds.npz", "last.pt")]
    evaluate(root, plain, tmp_path, pictures=1)
    names = ["again.json", "again_part_clouds.npz", "again_parts.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    with np.load(tmp_path / "again_part_clouds.npz") as file:
        assert file["category"].tolist() == ["airplane", "bag", "table"]
    assert [(plain / name).stat().st_mtime_ns for name in ("part_clouds.npz", "last.pt")] == before


def test_no_pictures_are_drawn_when_none_are_asked_for(root, plain, tmp_path):
    assert evaluate(root, plain, tmp_path, pictures=0) == read_records(plain)
    assert [path.name for path in tmp_path.iterdir()] == ["again.json"]


def test_a_finished_run_may_be_resumed_with_other_votes_and_pictures(root, plain, tmp_path):
    run_dir = shutil.copytree(plain, tmp_path / "tiny")
    run_partseg(root, tmp_path, "--resume", "--votes", "3", pictures=1)
    assert same(weights(plain), weights(run_dir))
    assert read_records(run_dir)["all_parts"]["voting"] == 3


def test_the_table_of_shapenetpart_in_a_file_is_the_same_task(root, plain, tmp_path):
    (tmp_path / "sixteen.json").write_text(json.dumps(part_names(SHAPENET_PART)))
    run_dir = run_partseg(root, tmp_path, "--parts", tmp_path / "sixteen.json")
    assert metrics(run_dir) == metrics(plain)


def test_clouds_are_scored_in_batches_of_the_size_asked_for(root, plain):
    with patch.object(DGCNNPartSeg, "forward", autospec=True, side_effect=DGCNNPartSeg.forward) as forward:
        run_partseg(root, plain.parent, "--eval", "--test_batch_size", "3")
    assert [len(call.args[1]) for call in forward.call_args_list] == [3, 2]
