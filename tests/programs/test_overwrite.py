"""--overwrite on the folder of a finished run: a training that cannot start leaves the run before as it was."""

import pytest

import train_crosspoint
import train_partseg
from scripts import finetune_cls
from tests.support.part_runs import write_part_tree
from tests.support.pretraining_runs import write_pairs_and_classes
from tests.support.program_calls import message_of
from tests.support.run_folders import files_of, write_run

pytestmark = pytest.mark.usefixtures("light_training")

SMALL = "--model dgcnn --exp_name run --overwrite --batch_size 4 --num_points 32 --num_workers 0 --device cpu"
IMAGES = "--image_depth 18 --image_size 32 --eval_freq 0"
PROGRAMS = {
    "crosspoint": (train_crosspoint, IMAGES),
    "partseg": (train_partseg, ""),
    "finetune_cls": (finetune_cls, "--dataset modelnet40 --select last"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_part_tree(write_pairs_and_classes(tmp_path_factory.mktemp("tree")))


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_clouds_with_fewer_points_than_k_are_refused_before_the_folder_is_touched(root, tmp_path, capsys, name):
    program, flags = PROGRAMS[name]
    (write_run(tmp_path / "run") / "last.pt").write_bytes(b"of the run before")
    before = files_of(tmp_path / "run")
    place = ("--data_root", root, "--output_dir", tmp_path)
    message = message_of(capsys, program, *SMALL.split(), *flags.split(), "--k", 33, *place)
    assert "--num_points 32 must be at least --k 33" in message
    assert files_of(tmp_path / "run") == before
