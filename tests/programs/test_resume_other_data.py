"""Resuming where the samples, or their order, have changed: refused within an epoch, a warning between epochs."""

import pytest
import torch

from tests.support import pretraining_runs
from tests.support.interruption import interrupted_in, stopped_after
from tests.support.light_runs import built_by, log_of
from tests.support.part_runs import run_partseg, write_part_tree
from tests.support.tiny_shards import make_shards, make_tree
from tests.support.tiny_trees import labelled, pack, write_h5

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("tree"), 9, num_points=70)


@pytest.fixture(scope="module")
def renamed(tmp_path_factory):
    """As many shapes, one of another name."""
    tree = make_tree(tmp_path_factory.mktemp("tree"), 9, num_points=70)
    for folder, name in (("ShapeNet", "s0004.ply"), ("ShapeNetRendering", "s0004")):
        (tree / folder / "01" / name).rename(tree / folder / "01" / name.replace("s0004", "s0005"))
    return tree


@pytest.fixture(scope="module", params=["trees", "packed", "shards"])
def sources(request, tree, renamed, tmp_path_factory):
    """Flags that name data, and those of other data of the same kind with as many samples."""
    out = tmp_path_factory.mktemp("data")
    if request.param == "trees":
        return ["--data_root", tree], ["--data_root", renamed]
    if request.param == "packed":
        return ["--packed", pack(tree, out / "a.h5")], ["--packed", pack(renamed, out / "b.h5")]
    packed_anew = make_shards(tree, out / "b", samples_per_shard=3)
    return ["--shards", make_shards(tree, out / "a", samples_per_shard=5)], ["--shards", packed_anew]


def train(out, *flags):
    return pretraining_runs.train("unused", out, "--batch_size", "4", *flags)


def resumed(out, *flags):
    """Return the resumed training before its next step."""
    return built_by(lambda: train(out, "--resume", *flags))


def test_other_samples_are_refused_within_an_epoch(sources, tmp_path):
    before, now = sources
    with stopped_after(1):
        train(tmp_path, *before)
    expected = f"{now[0]} {now[1]} holds as many samples as .*last.pt was trained on, but others or in another order: "
    with pytest.raises(ValueError, match=f"{expected}going on after step 1 of epoch 0 would repeat some"):
        resumed(tmp_path, *now)
    assert resumed(tmp_path, *before).progress.step == 1
    assert "another order" not in log_of(tmp_path / "tiny")


def test_other_samples_are_a_warning_between_epochs(sources, tmp_path):
    before, now = sources
    with interrupted_in(1):
        train(tmp_path, *before)
    assert resumed(tmp_path, *now).progress.epoch == 1
    log = log_of(tmp_path / "tiny")
    assert log.count("warning: ") == log.count("but others or in another order; epoch 1 begins with them") == 1


def test_a_state_that_notes_no_order_resumes_and_the_log_says_so(tree, renamed, tmp_path):
    with stopped_after(1):
        train(tmp_path, "--data_root", tree)
    path = tmp_path / "tiny" / "last.pt"
    state = torch.load(path, weights_only=True)
    del state["data_order"], state["progress"]["num_skipped"]  # as written before
    torch.save(state, path)
    assert resumed(tmp_path, "--data_root", renamed).progress.step == 1
    assert "last.pt is of an earlier version, which noted no order of samples: not compared" in log_of(path.parent)


def test_a_packed_file_of_the_trees_goes_on_within_an_epoch(tree, tmp_path):
    with stopped_after(1):
        train(tmp_path, "--data_root", tree, "--on_bad_sample", "skip")
    assert resumed(tmp_path, "--packed", pack(tree, tmp_path / "a.h5")).progress.step == 1
    assert "another order" not in log_of(tmp_path / "tiny")


def test_labelled_clouds_in_another_order_are_refused_within_an_epoch_and_moved_ones_are_not(tmp_path):
    data = write_part_tree(tmp_path / "data")
    with stopped_after(1):
        run_partseg(data, tmp_path)
    data = data.rename(tmp_path / "moved")
    assert built_by(lambda: run_partseg(data, tmp_path, "--resume")).progress.step == 1
    other = write_part_tree(tmp_path / "other")
    arrays = labelled([0, 1, 15, 0, 1, 15, 0, 1], seed=9, num_points=48)  # the same categories, other clouds
    pid = [[{0: 0, 1: 4, 15: 47}[label]] * 48 for label in arrays["label"].ravel().tolist()]
    write_h5(
        other / "shapenet_part_seg_hdf5_data" / "ply_data_train0.h5", **arrays, pid=torch.tensor(pid).byte().numpy()
    )
    with pytest.raises(ValueError, match="--data_root .*other holds as many samples .* but others or in another order"):
        run_partseg(other, tmp_path, "--resume")
