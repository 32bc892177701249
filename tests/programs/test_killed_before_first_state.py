"""Trainings that start from weights and are killed before their first state: resumed, they start from these weights."""

import pytest

import train_crosspoint
import train_partseg
from scripts import finetune_cls
from tests.support.entry_programs import call, write_encoder
from tests.support.interruption import interrupted_in
from tests.support.light_runs import built_by, log_of, same
from tests.support.part_runs import NUM_POINTS, write_part_tree
from tests.support.pretraining_runs import write_pairs_and_classes

pytestmark = pytest.mark.usefixtures("light_training")

SMALL = "--model pointnet --exp_name run --batch_size 4 --num_points 32 --num_workers 0 --device cpu --epochs 1"
PROGRAMS = {
    "crosspoint": (train_crosspoint, "--model_path", "--image_depth 18 --image_size 32 --eval_freq 0"),
    "partseg": (train_partseg, "--pretrained_path", f"--num_points {NUM_POINTS}"),
    "finetune_cls": (finetune_cls, "--pretrained_path", "--dataset modelnet40 --select last"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_part_tree(write_pairs_and_classes(tmp_path_factory.mktemp("tree")))


@pytest.fixture
def start(root, tmp_path):
    """Encoder weights, and a function that runs a program from them."""
    file = write_encoder(tmp_path / "start.pth", "pointnet")

    def run(name, *extra):
        program, option, flags = PROGRAMS[name]
        words = [*SMALL.split(), *flags.split(), option, file, "--data_root", root]
        call(program, *words, "--output_dir", tmp_path, *extra)

    return file, run


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_the_weights_are_loaded_when_it_is_resumed(start, tmp_path, name):
    _, run = start
    with interrupted_in(0):
        run(name)
    begun = built_by(lambda: run(name, "--overwrite")).method.state_dict()
    resumed = built_by(lambda: run(name, "--resume"))
    assert same(begun, resumed.method.state_dict())


def test_the_log_of_a_resumed_part_segmentation_names_the_weights_it_begins_from(start, tmp_path):
    file, run = start
    built_by(lambda: run("partseg"))
    built_by(lambda: run("partseg", "--resume"))
    log = log_of(tmp_path / "run")
    assert log.count(f"{file}: ") == 2
    assert log.index("no state in") > log.rindex(f"{file}: ")


@pytest.mark.parametrize("name", ["crosspoint", "partseg"])
def test_once_there_is_a_state_the_file_is_not_needed(start, tmp_path, name):
    file, run = start
    run(name)
    file.unlink()
    assert built_by(lambda: run(name, "--resume")).progress.epoch == 1
