"""Run the two programs of multi-view pre-training briefly on a tiny tree."""

from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import torch

from models.encoders.multiview_resnet import MultiViewResNet
from models.weights.teacher_file import teacher_state
from scripts import pretrain_images, pretrain_multiview
from tests.support.entry_programs import call
from tests.support.tiny_trees import write_pairs, write_shapenet

SHAPES = [f"02/{i:02d}" for i in range(7)]
_COMMON = "--epochs 2 --batch_size 3 --print_freq 1 --image_size 9 --num_workers 0 --device cpu --exp_name tiny".split()
TAUGHT = (
    "--model pointnet --views 2 --pairs 16 --num_points 64 --eval_freq 0 --k 5 --emb_dims 32 --teacher_depth 18"
).split()


def write_taught(folder: Path, shapes: list[str] = SHAPES) -> Path:
    """Write shapes with two views and pairs."""
    return write_pairs(write_shapenet(folder, shapes, num_points=100, num_views=2, size=16))


def write_teacher(path: Path, seed: int = 0) -> Path:
    """Write a small random teacher."""
    torch.manual_seed(seed)
    torch.save(teacher_state(MultiViewResNet(18, embedding_dim=8)), path)
    return path


def train_images(root: Path, out: Path, *extra: object) -> Path:
    """Run the 2-D stage; return the run's folder."""
    place = ("--data_root", root, "--output_dir", out)
    _call(pretrain_images, *_COMMON, "--image_depth", "18", "--views", "1", *place, *extra)
    return out / "tiny"


def train_points(root: Path, out: Path, *extra: object, teacher: object = "random", draws: bool = False) -> Path:
    """Run the 3-D stage, without its picture unless it `draws`; return the run's folder."""
    words = (*_COMMON, *TAUGHT, "--teacher", teacher, "--data_root", root, "--output_dir", out, *extra)
    with nullcontext() if draws else patch("utils.multiview.pixel_pictures.try_draw_pixel_points", lambda *args: None):
        _call(pretrain_multiview, *words)
    return out / "tiny"


def _call(program: ModuleType, *words: object) -> None:
    with patch("utils.training.loop.try_draw_curves", lambda *args: None):
        call(program, *words)
