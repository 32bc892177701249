"""train_partseg.py end to end on a tiny ShapeNetPart tree: command lines, starts, resuming, scores, refusals."""

import shutil

import numpy as np
import pytest
import torch

import train_partseg
from datasets.parts.part_task import PartTask
from datasets.parts.shapenet_part import ShapeNetPart
from datasets.parts.shuffled_parts import ShuffledParts
from models.encoders.dgcnn_seg import DGCNNPartSeg
from models.weights.published import export_state
from models.weights.weight_file import read_weights
from tests.support.entry_programs import call, error_of, write_encoder
from tests.support.interruption import interrupted_in
from tests.support.light_runs import built_by, log_of, metrics, same, start_of, weights
from tests.support.part_runs import NUM_POINTS, read_records, run_partseg, write_part_tree
from tests.support.tiny_trees import labelled, write_h5
from utils.parts.part_weights import build_for, load_part_network, start_from

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_part_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """Encoder weights as pre-training writes them."""
    return write_encoder(tmp_path_factory.mktemp("weights") / "dgcnn_partseg_best.pth", "dgcnn_seg")


@pytest.fixture(scope="module")
def plain(root, tmp_path_factory, light_training):
    """Run folder of the command as it is."""
    return run_partseg(root, tmp_path_factory.mktemp("plain"))


def test_the_published_command_runs_as_a_user_types_it(root, pretrained, tmp_path, capsys, monkeypatch):
    shutil.copy(pretrained, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROSSPOINT_DATA", str(root))
    command = "--exp_name dgcnn_partseg --pretrained_path dgcnn_partseg_best.pth --batch_size 8 --k 40 "
    command += "--test_batch_size 8 --epochs 1"
    call(train_partseg, *command.split(), "--num_points", NUM_POINTS)
    printed = capsys.readouterr().out
    assert "dgcnn_partseg_best.pth: 68 of 68 encoder tensors loaded" in printed
    result = "result task=part_segmentation protocol=all_parts dataset=shapenetpart split=test label_fraction=1.0"
    assert result in printed
    assert (tmp_path / "checkpoints" / "dgcnn_partseg" / "models" / "best_model.pth").is_file()


def test_the_defaults_are_the_published_ones():
    args = train_partseg.parse_args([])
    assert (args.use_sgd, args.lr, args.momentum, args.scheduler, args.k) == (True, 0.001, 0.9, "cos", 40)
    assert (args.epochs, args.batch_size, args.test_batch_size, args.num_points) == (200, 32, 16, 2048)


def test_a_resumed_training_with_workers_ends_as_without_bit_for_bit(root, plain, tmp_path):
    with interrupted_in(1):
        run_partseg(root, tmp_path, "--num_workers", "1")
    with pytest.raises(ValueError, match="--lr was 0.001, now 0.01"):
        run_partseg(root, tmp_path, "--resume", "--lr", "0.01")
    run_dir = run_partseg(root, tmp_path, "--resume")
    assert same(weights(plain), weights(run_dir))
    assert metrics(plain) == metrics(run_dir)
    expected, found = (read_records(run)["all_parts"]["miou_by_category"] for run in (plain, run_dir))
    assert found == expected


def last_rate(training):
    return training.schedule.lr_lambdas[0](len(training.loader)) * training.schedule.base_lrs[0]


EFFECTS = {
    "--seed 2": (lambda t: (t.settings.seed, t.loader.dataset.seed), (2, 2)),
    "--lr 0.01": (lambda t: t.schedule.base_lrs, [1.0]),
    "--no-use_sgd": (lambda t: (type(t.optimizer), t.schedule.base_lrs), (torch.optim.Adam, [0.001])),
    "--momentum 0": (lambda t: t.optimizer.param_groups[0]["momentum"], 0),
    "--scheduler step": (last_rate, 0.1),
    "--k 6": (lambda t: t.method.network.k, 6),
    "--emb_dims 32": (lambda t: t.method.network.feature_dim, 32),
    "--dropout 0": (lambda t: t.method.network.dropout.p, 0),
    "--num_points 40": (lambda t: len(t.loader.dataset[0]["points"]), 40),
    "--batch_size 3": (lambda t: t.loader.batch_size, 3),
    "--select last": (lambda t: (len(t.loader.dataset), t.val), (10, None)),
    "--label_fraction 0.5": (lambda t: len(t.loader.dataset), 5),
    "--steps 5": (lambda t: t.settings.epochs, 3),
    "--eval_freq 2": (lambda t: t.settings.eval_freq, 2),
}


def build(root, out, *flags):
    return built_by(lambda: run_partseg(root, out, *flags))


@pytest.fixture(scope="module")
def unchanged(root, tmp_path_factory, light_training):
    """The training of the command as it is, before its first step."""
    return build(root, tmp_path_factory.mktemp("unchanged"))


@pytest.mark.parametrize("flags", list(EFFECTS))
def test_each_flag_changes_what_is_built(root, unchanged, tmp_path, flags):
    read, expected = EFFECTS[flags]
    assert read(unchanged) != expected
    assert read(build(root, tmp_path, *flags.split())) == expected


def test_the_seed_decides_the_first_weights_and_the_order(root, tmp_path):
    first, second = (start_of(build(root, tmp_path / seed, "--seed", seed)) for seed in "12")
    assert all(mine != theirs for mine, theirs in zip(first, second, strict=True))


def test_the_rate_of_sgd_falls_as_published(plain):
    assert metrics(plain, "lr") == pytest.approx([0.1, 0.0505])


def test_pretrained_weights_reach_every_encoder_tensor_and_no_other(pretrained):
    network = DGCNNPartSeg(4)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    report = start_from(network, pretrained, "dgcnn_seg", 4).report
    expected = read_weights(pretrained)
    assert len(report.loaded) == 68
    for key, value in network.state_dict().items():
        assert torch.equal(value, expected[key] if key in report.loaded else before[key]), key


@pytest.mark.parametrize("name", ["dgcnn_partseg_pretrain", "dgcnn_partseg_finetune"])
def test_published_files_of_either_kind_start_a_training(shared, name):
    report = start_from(DGCNNPartSeg(4), shared / "golden" / f"{name}.pth", "dgcnn_seg", 4).report
    assert len(report.loaded) == 68


def test_a_pretrained_file_with_tensors_missing_or_renamed_is_refused_with_the_list(root, pretrained, tmp_path):
    state = read_weights(pretrained)
    for key in ("conv3.0.weight", "transform_net.linear2.weight"):
        del state[key]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"part.pth.*2 tensors missing.*conv3.0.weight, transform_net.linear2.weight"):
        run_partseg(root, tmp_path, "--pretrained_path", tmp_path / "part.pth")
    torch.save({f"net1.{key}": value for key, value in state.items()}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth.*no point encoder of ours.*net1\.bn1\.bias"):
        run_partseg(root, tmp_path, "--pretrained_path", tmp_path / "other.pth")


def test_a_fine_tuned_file_of_another_width_is_read_back_and_starts_only_its_own(tmp_path):
    path, network = tmp_path / "wide.pth", build_for(PartTask(), "pointnet", 4, emb_dims=24)
    torch.save(export_state(network, "pointnet"), path)
    assert same(load_part_network(path, "pointnet", 4).network.state_dict(), network.state_dict())
    with pytest.raises(ValueError, match="wide.pth: the embedding of these weights is 24 wide, got --emb_dims 1024"):
        start_from(build_for(PartTask(), "pointnet", 4), path, "pointnet", 4)


def test_best_model_has_exactly_the_names_of_a_published_fine_tuned_file(shared, plain):
    published = read_weights(shared / "golden" / "dgcnn_partseg_finetune.pth")
    ours = read_weights(plain / "models" / "best_model.pth")
    expected = {key: value.shape for key, value in published.items() if not key.startswith("inv_head.")}
    assert {key: value.shape for key, value in ours.items()} == expected


def test_the_best_epoch_is_chosen_on_val_and_test_is_scored_once(root, plain, tmp_path, capsys):
    run_dir = run_partseg(root, tmp_path, "--epochs", "4")
    out = capsys.readouterr().out
    scores = metrics(run_dir, "part_seg/val_miou_instance")
    assert out.count("best so far") == sum(score > max([-1, *scores[:i]]) for i, score in enumerate(scores))
    assert out.count("protocol=all_parts") == out.count("protocol=category_parts") == 1
    network = load_part_network(run_dir / "models" / "best_model.pth", "dgcnn_seg", 4).network
    is_last_best = scores.index(max(scores)) == len(scores) - 1
    last = {key.removeprefix("network."): value for key, value in weights(run_dir).items()}
    assert same(network.state_dict(), last) == is_last_best


def test_select_last_trains_on_trainval_and_keeps_the_last_epoch(root, tmp_path):
    run_dir = run_partseg(root, tmp_path, "--select", "last")
    assert "10 clouds, 2 steps an epoch" in log_of(run_dir)
    kept = load_part_network(run_dir / "models" / "best_model.pth", "dgcnn_seg", 4).network.state_dict()
    assert same(kept, {key.removeprefix("network."): value for key, value in weights(run_dir).items()})


def test_results_name_task_split_figures_and_how_the_network_came_about(plain):
    record = read_records(plain)["category_parts"]
    assert (record["task"], record["dataset"], record["split"]) == ("part_segmentation", "shapenetpart", "test")
    assert set(record["miou_by_category"]) == {"airplane", "bag", "table"}
    assert record["miou_class"] == pytest.approx(np.mean(list(record["miou_by_category"].values())))
    assert 0 <= record["miou_instance"] <= 1
    assert (record["selected_on"], record["num_train"], record["num_test"]) == ("val", 8, 5)
    assert (record["weights"], record["checkpoint"], record["encoder_seed"], record["seed"]) == ("random", None, 1, 1)


def test_a_published_fine_tuned_file_can_be_scored(shared, root, tmp_path, capsys):
    run_partseg(root, tmp_path, "--eval", "--model_path", shared / "golden" / "dgcnn_partseg_finetune.pth")
    assert "protocol=all_parts" in capsys.readouterr().out
    assert not (tmp_path / "tiny").exists()


def test_training_learns_the_parts(root, tmp_path):
    run_dir = run_partseg(root, tmp_path, "--epochs", "12", "--no-use_sgd", "--lr", "0.003", "--dropout", "0")
    assert metrics(run_dir)[-1] < 0.75 * metrics(run_dir)[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--data_root /nonexistent", "make_shapes"),
        ("--batch_size 9", "--batch_size 9 is larger than the data set (8 shapes)"),
        ("--batch_size 1", "--batch_size must be at least 2"),
        ("--epochs 0", "--epochs must be at least 1"),
        ("--test_batch_size 0", "--test_batch_size must be at least 1"),
        ("--num_points 64", "holds 48 points a cloud, 64 were asked for"),
        ("--k 33", "--num_points 32 must be at least --k 33"),
        ("--pretrained_path none.pth", "none.pth"),
        ("--model_path a.pth --pretrained_path b.pth", "both name weights"),
        ("--eval --pretrained_path a.pth", "--model_path"),
        ("--eval --model_path none.pth", "none.pth"),
        ("--device cuda:99", "cuda:99"),
        ("--resume", "nothing to resume"),
        ("--lr 1e30", "ply_data_train0.h5 row "),  # a loss that is no number
        ("--class_choice sofa", "choose one of airplane, bag"),
        ("--class_choice rocket", "no rocket in ply_data_test0.h5"),
        ("--parts none.json", "no file none.json"),
        ("--label_fraction 0", "--label_fraction must be above 0 and at most 1, got 0.0"),
        ("--label_fraction nan", "--label_fraction must be above 0"),
        ("--lr nan", "--lr must be > 0"),
        ("--lr -1", "--lr must be > 0"),
        ("--momentum 2", "--momentum must be in"),
        ("--dropout nan", "--dropout must be in [0, 1)"),
        ("--dropout 1", "--dropout must be in [0, 1)"),
        ("--dropout -0.1", "--dropout must be in [0, 1)"),
        ("--label_fraction 0.5 --batch_size 6", "--batch_size 6 is larger than the data set (5 shapes)"),
        ("--votes -1", "--votes must be at least"),
        ("--num_pictures -1", "--num_pictures must be at least 0"),
        ("--eval_freq 0", "--eval_freq must be at least 1"),
        ("--steps -1", "--steps must be at least 0"),
    ],
)
def test_bad_flags_are_an_error_that_names_them(root, tmp_path, flags, message):
    with pytest.raises((ValueError, OSError)) as caught:
        run_partseg(root, tmp_path, *flags.split())
    assert message in str(caught.value)
    assert flags == "--lr 1e30" or not (tmp_path / "tiny").exists()  # met in training


def test_an_encoder_alone_is_no_network_to_score(root, pretrained, tmp_path):
    torch.save(dict(read_weights(pretrained)), tmp_path / "of_others.pth")  # which does not say what it is
    with pytest.raises(ValueError, match="no fine-tuned part segmentation network"):
        run_partseg(root, tmp_path, "--eval", "--model_path", tmp_path / "of_others.pth")


@pytest.mark.parametrize("name", ["dgcnn", "dgcnn_seg", "pointnet_tnet"])
@pytest.mark.parametrize("model", ["dgcnn", "dgcnn_seg"])
def test_weights_of_a_run_that_is_no_part_segmentation_are_said_to_hold_none(root, tmp_path, name, model):
    path = write_encoder(tmp_path / "encoder.pth", name)
    with pytest.raises(
        ValueError, match="encoder.pth holds no part segmentation network; expected models/best_model.pth"
    ):
        run_partseg(root, tmp_path, "--eval", "--model", model, "--model_path", path)


def test_scoring_with_another_k_than_trained_is_refused(root, plain):
    with pytest.raises(ValueError, match="trained with k 4, got --k 6; pass --k 4"):
        run_partseg(root, plain.parent, "--eval", "--k", "6")


def test_a_part_outside_its_category_is_one_message_and_exit_status_2(root, tmp_path, capsys):
    shutil.copytree(root, tmp_path / "data")
    arrays = labelled([0, 1], num_points=NUM_POINTS) | {"pid": np.full((2, NUM_POINTS), 49, np.uint8)}
    write_h5(tmp_path / "data" / "shapenet_part_seg_hdf5_data" / "ply_data_val0.h5", **arrays)
    message = error_of(lambda: run_partseg(tmp_path / "data", tmp_path), capsys)
    assert "ply_data_val0.h5: pid 49 in row 0 is no part of airplane" in message


def test_the_order_of_points_depends_on_seed_epoch_and_index_and_keeps_labels_with_points(root):
    clouds = ShapeNetPart(root, "trainval", num_points=NUM_POINTS)
    first, again = ShuffledParts(clouds, seed=3), ShuffledParts(clouds, seed=3)
    for index in (0, 9):
        item, twin = first[index], again[index]
        assert torch.equal(item["points"], twin["points"])
        stored = dict(zip(map(tuple, clouds[index]["points"].tolist()), clouds[index]["part_label"].tolist()))
        assert [stored[tuple(p)] for p in item["points"].tolist()] == item["part_label"].tolist()
    again.set_epoch(1)
    assert not torch.equal(first[0]["points"], again[0]["points"])
    assert not torch.equal(first[0]["points"], ShuffledParts(clouds, seed=4)[0]["points"])
    assert "ply_data_train0.h5 row 7" in first.files(7)
    assert "ply_data_val0.h5 row 1" in first.files(9)
