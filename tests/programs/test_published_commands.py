"""The command lines of CrossPoint's and CrossPoint-DDP's shell scripts, on tiny data, shortened by flags at their end.

`python eval_fewshot.py` and `python ft_crosspoint.py` are `python -m scripts.eval_fewshot` and `scripts.finetune_cls`.
"""

import pytest

import train_crosspoint
import train_partseg
from scripts import eval_fewshot, finetune_cls
from tests.support.entry_programs import call, write_encoder
from tests.support.light_runs import results
from tests.support.tiny_trees import labelled, write_h5, write_shapenet, write_shapenet_part

PRE_TRAINING = {
    "CrossPoint": "--model dgcnn --epochs 100 --lr 0.001 --exp_name crosspoint_dgcnn_cls --batch_size 20 "
    "--print_freq 200 --k 15",
    "CrossPoint-DDP": "--model dgcnn --exp_name crosspoint_dgcnn_pt --epochs 100 --lr 0.001 --batch_size 12 "
    "--test_batch_size 128 --print_freq 500 --k 15 --world_size 6 --backend nccl --num_workers 1",
    "CrossPoint-DDP part segmentation": "--model dgcnn_seg --exp_name crosspoint_dgcnn_pt_seg --epochs 100 --lr 0.001 "
    " --batch_size 20 --print_freq 200 --k 15 --num_workers 1",
}
FINE_TUNING = {
    "ModelNet40": "--exp_name ft-MN-1 --ft_dataset ModelNet40 --num_ft_points 1024 --batch_size 600 "
    "--test_batch_size 600 --print_freq 50 --num_workers 1 --num_classes 40 --resume --model dgcnn "
    "--model_path checkpoints/crosspoint_dgcnn_pt/models/best_model.pth --lr 0.001 --epochs 300",
    "ScanObjectNN": "--exp_name ft-SO-1 --ft_dataset ScanObjectNN --num_ft_points 1024 --batch_size 600 "
    "--test_batch_size 600 --print_freq 50 --num_workers 1 --num_classes 15 --resume --model dgcnn "
    "--model_path checkpoints/crosspoint_dgcnn_pt/models/best_model.pth --lr 0.001 --epochs 300 --num_workers 1",
}
FEW_SHOT = "--model_path path-to-trained-model --dataset modelnet40 --k_way {way} --m_shot {shot} --n_runs 50"
PART_SEGMENTATION = (
    "--exp_name ft-partseg-1 --model_path checkpoints/crosspoint_dgcnn_pt_seg/models/best_model.pth "
    "--batch_size 60 --k 40 --test_batch_size 48 --epochs 300 --num_workers 1"
)
NUM_POINTS = 48
SHORT = ("--epochs", "1", "--num_points", str(NUM_POINTS), "--device", "cpu")
FEW_NEIGHBOURS = ("--k", "8")

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Pairs and two labelled sets with as many classes as the published ones, in a new working folder."""
    shapes = [f"02/{i:02d}" for i in range(20)]
    write_shapenet(tmp_path / "data", shapes, num_points=NUM_POINTS, num_views=1, size=24)
    for folder, train, test, count in (
        ("modelnet40_ply_hdf5_2048", "ply_data_train0", "ply_data_test0", 40),
        ("ScanObjectNN/main_split", "training_objectdataset", "test_objectdataset", 15),
    ):
        for number, (name, each) in enumerate(((train, 2), (test, 1))):
            arrays = labelled(list(range(count)) * each, seed=500 * number, num_points=NUM_POINTS)
            write_h5(tmp_path / "data" / folder / f"{name}.h5", **arrays)
    write_shapenet_part(tmp_path / "data")
    monkeypatch.setenv("CROSSPOINT_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", list(PRE_TRAINING))
def test_pre_training(root, name):
    argv = [*PRE_TRAINING[name].split(), *SHORT, "--image_size", "32", "--image_depth", "18", "--eval_freq", "0"]
    argv += ["--num_workers", "0", "--emb_dims", "32", *FEW_NEIGHBOURS]
    call(train_crosspoint, *argv)
    assert (root / "checkpoints" / argv[argv.index("--exp_name") + 1] / "models" / "best_model.pth").is_file()


@pytest.mark.parametrize("name", list(FINE_TUNING))
def test_fine_tuning_starts_from_the_weights_and_continues_when_it_is_run_again(root, name, capsys):
    start = write_encoder(root / "checkpoints/crosspoint_dgcnn_pt/models/best_model.pth", "dgcnn")
    argv = [*FINE_TUNING[name].split(), *SHORT, "--num_workers", "0", *FEW_NEIGHBOURS]
    for _ in range(2):
        call(finetune_cls, *argv)
    (record,) = results(root / "checkpoints" / argv[argv.index("--exp_name") + 1])
    assert (record["dataset"], record["weights"], record["lr"]) == (name.lower(), "checkpoint", 0.001)
    assert (record["use_sgd"], record["label_smoothing"], record["weight_decay"]) == (False, 0.0, 1e-6)
    assert record["checkpoint"].endswith(str(start.relative_to(root)))


def test_another_number_of_classes_is_refused(root):
    write_encoder(root / "checkpoints/crosspoint_dgcnn_pt/models/best_model.pth", "dgcnn")
    argv = [*FINE_TUNING["ScanObjectNN"].split(), *SHORT, "--num_classes", "16"]
    with pytest.raises(ValueError, match="--num_classes 16, but scanobjectnn here has 15"):
        call(finetune_cls, *argv)


def test_part_segmentation_starts_from_the_weights(root, capsys):
    write_encoder(root / "checkpoints/crosspoint_dgcnn_pt_seg/models/best_model.pth", "dgcnn_seg")
    argv = [*PART_SEGMENTATION.split(), *SHORT, "--num_workers", "0", "--batch_size", "3", *FEW_NEIGHBOURS]
    call(train_partseg, *argv)
    assert "best_model.pth: 68 of 68 encoder tensors loaded" in capsys.readouterr().out


def test_few_shot(root, capsys):
    path = write_encoder(root / "path-to-trained-model", "pointnet")
    argv = FEW_SHOT.format(way=5, shot=1).split()
    call(eval_fewshot, *argv, "--n_query", "1", "--num_points", NUM_POINTS)
    assert "k_way=5 m_shot=1" in capsys.readouterr().out
    assert path.is_file()
