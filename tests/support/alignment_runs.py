"""Run the alignment with texts briefly on a tiny tree, by a text tower without weights."""

import json
from pathlib import Path
from unittest.mock import patch

from scripts import align_text
from tests.support.entry_programs import call
from tests.support.tiny_trees import write_shapenet
from tests.support.toy_texts import ToyTexts

SHAPES = [f"{synset}/{number}" for synset in ("02691156", "03797390", "04379243") for number in range(3)]
_FLAGS = (
    "--epochs 2 --batch_size 4 --print_freq 1 --image_size 16 --num_workers 0 --device cpu --exp_name tiny "
    "--model pointnet --emb_dims 16 --num_points 48 --eval_freq 0 --image_depth 18"
).split()


def toy_texts():
    """Take the toy text tower for that of the wheel in this block."""
    return patch("utils.texts.text_tower.MiniLM", ToyTexts)


def write_captioned(root: Path) -> Path:
    """Write airplanes, mugs and tables with two views, and their captions: two of some, one of others."""
    write_shapenet(root, SHAPES, num_views=2, size=16)
    captions = {name: {"captions": ["a thing", f"a thing of {name[:8]}"]} for name in SHAPES[:5]}
    (root / "captions.json").write_text(json.dumps(captions | {name: f"a kind {name[-1]}" for name in SHAPES[5:]}))
    return root


def aligned_towers(factory) -> Path:
    """Align on a tree of its own, in folders of pytest's `tmp_path_factory`; return the file of the towers."""
    return align(write_captioned(factory.mktemp("captioned")), factory.mktemp("aligned")) / "models/towers_best.pth"


def align(root: Path, out: Path, *extra: object) -> Path:
    """Run the program; return the run's folder."""
    with toy_texts():
        call(align_text, *_FLAGS, "--data_root", root, "--output_dir", out, *extra)
    return out / "tiny"
