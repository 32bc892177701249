"""scripts.pretrain_scenes: trains, goes on exactly, keeps a network that segmentation loads."""

import json
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.scenes.scannet_frames import SceneFrames
from datasets.transforms.image_transforms import normalize_
from models.encoders.scenes.sr_unet import PLANS, Plan
from models.weights.sr_unet_file import load_backbone
from models.weights.teacher_file import load_teacher
from scripts import pretrain_scenes
from tests.support.entry_programs import call
from tests.support.interruption import interrupted_in
from tests.support.light_runs import flags_of, log_of, metrics, same, weights
from tests.support.multiview_runs import write_teacher
from tests.support.tiny_frames import write_wall_frames
from utils.scenes.pair_cache import find_pairs
from utils.scenes.scene_pretraining import SceneLossSettings

TINY = (
    "--split all --plan 14A --voxel_size 0.2 --num_points 200 --overlap_stride 2 --batch_size 2 --epochs 2 --lr 0.01 "
    "--num_workers 0 --device cpu --exp_name tiny --print_freq 1"
).split()


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    root = tmp_path_factory.mktemp("rooms")
    for number in range(2):
        write_wall_frames(root, f"scene000{number}_00")
    return root


def narrow():
    """Let 14A name a network of 8 channels in this block."""
    return patch.dict(PLANS, {"14A": Plan((1,) * 8, (8,) * 8)})


def train(rooms, out, *extra):
    with narrow(), patch("utils.training.loop.try_draw_curves", lambda *args: None):
        call(pretrain_scenes, *TINY, "--data_root", rooms, "--output_dir", out, *extra)
    return out / "tiny"


def test_it_goes_on_exactly_and_leaves_a_network_for_segmentation(rooms, tmp_path):
    matched = ("--loss", "point_info_nce", "--matches", "64")
    whole = train(rooms, tmp_path / "whole", *matched)
    assert len(metrics(whole, "loss/contrast")) == 2
    assert "6 pairs of frames, 3 steps an epoch, sr_unet on cpu" in log_of(whole)
    assert "overlaps of 2 computed" in log_of(whole)
    with interrupted_in(1):
        train(rooms, tmp_path / "cut", *matched, "--pair_cache", tmp_path / "whole" / "pair_cache")
    cut = train(rooms, tmp_path / "cut", *matched, "--resume")
    assert "overlaps of 0 computed" in log_of(cut)
    assert same(weights(whole), weights(cut))

    kept, trained = whole / "models" / "best_model.pth", weights(whole)
    state = torch.load(kept, weights_only=True)
    assert not [key for key in state if key.startswith("final.")]
    with narrow():
        network = load_backbone(kept, 20)
    assert network.final.kernel.shape == (8, 20)
    for key, value in network.state_dict().items():
        assert key.startswith("final.") or torch.equal(value, trained[f"point_encoder.{key}"]), key
    torch.save({**state, "block1.0.conv9.kernel": torch.ones(1)}, tmp_path / "more.pth")
    with narrow(), pytest.raises(ValueError, match="unexpected"):
        load_backbone(tmp_path / "more.pth", 20)


def test_a_teacher_of_no_use_is_refused(rooms, tmp_path):
    with pytest.raises(ValueError, match="contrasts two frames, without a teacher: leave --teacher out"):
        train(rooms, tmp_path, "--loss", "point_info_nce", "--teacher", "random")


def test_a_teacher_of_frames_teaches_pixels_and_clouds(rooms, tmp_path):
    teacher = write_teacher(tmp_path / "teacher.pth")
    taught = ("--teacher", teacher, "--image_size", "16", "--pairs", "32", "--map_size", "8", "--epochs", "1")
    run = train(rooms, tmp_path, *taught)
    assert len(metrics(run, "loss/global")) == len(metrics(run, "loss/local")) == 1
    assert "teacher: features of 6 frames, computed into" in log_of(run)
    state = weights(run)
    assert [state[f"{head}.0.weight"].shape[1] for head in ("object_head", "point_head")] == [16, 8]
    with narrow():
        network = load_backbone(run / "models" / "best_model.pth", 13)
    assert torch.equal(network.block8[0].conv2.kernel, state["point_encoder.block8.0.conv2.kernel"])
    heads = torch.load(run / "models" / "heads_last.pth", weights_only=True)
    assert {key.split(".")[0] for key in heads} == {"object_head", "point_head", "pixel_head"}

    source = SceneFrames(rooms / "scans" / "scene0001_00")
    pixels = np.array(Image.open(source.read(2).colour_path).resize((16, 16), Image.Resampling.BILINEAR))
    image = normalize_(torch.from_numpy(pixels).permute(2, 0, 1).float())[None, None]
    maps, target = load_teacher(teacher).see(image)
    (folder,) = (path.parent for path in tmp_path.glob("teacher_cache/*/maps.npy"))
    torch.testing.assert_close(torch.from_numpy(np.load(folder / "target.npy")[5]), target[0], rtol=0.02, atol=0.02)
    assert np.load(folder / "maps.npy").shape == (6, *maps.shape[2:])
    assert flags_of(run)["teacher_sha256"] == json.loads((folder / "index.json").read_text())["teacher"]


def test_frames_that_cannot_be_read_are_named_or_left_out_with_a_teacher_too(tmp_path):
    scenes = [write_wall_frames(tmp_path / "rooms", f"scene000{number}_00") for number in range(2)]
    missing, damaged, late = scenes[0] / "color/25.jpg", scenes[1] / "depth/50.png", scenes[1] / "color/0.jpg"
    missing.unlink()
    damaged.write_bytes(damaged.read_bytes()[:50])
    taught = ("--teacher", write_teacher(tmp_path / "teacher.pth"), "--image_size", "16", "--pairs", "32")
    taught += ("--map_size", "8", "--epochs", "1")
    with pytest.raises(FileNotFoundError, match=f"no {missing}, the colours of frame 25; export it again"):
        train(tmp_path / "rooms", tmp_path / "out", *taught)
    skips = (*taught, "--on_bad_sample", "skip")
    log = log_of(train(tmp_path / "rooms", tmp_path / "out", *skips))
    assert f"warning: skipped no {missing}" in log
    assert f"warning: skipped {damaged} is not" in log
    assert "2 pairs of frames in 2 scenes, overlaps of 2 computed" in log
    assert not list((tmp_path / "out/pair_cache").glob("*.npz"))  # the files may be repaired
    for path, number in ((missing, 50), (damaged, 25)):
        path.write_bytes(path.with_stem(str(number)).read_bytes())
    train(tmp_path / "rooms", tmp_path / "out", *taught, "--overwrite")
    late.unlink()  # after the pairs are known
    log = log_of(train(tmp_path / "rooms", tmp_path / "out", *skips, "--overwrite"))
    assert f"no {late}, the colours of frame 0; export it again" in log


def test_the_published_settings_are_the_defaults():
    args = vars(pretrain_scenes.parse_args([]))
    published = {"plan": "34C", "out_channels": 32, "lr": 0.1, "use_sgd": True, "momentum": 0.9}
    published |= {"weight_decay": 1e-4, "voxel_size": 0.025, "norm_momentum": 0.05, "least_overlap": 0.3}
    published |= {"scheduler": "exp", "frame_step": 25, "conv1_size": 3}
    assert {name: args[name] for name in published} == published
    temperatures = {"pixels": 0.5, "point_info_nce": 0.07}
    for loss, temperature in temperatures.items():
        settings = SceneLossSettings.read(vars(pretrain_scenes.parse_args(["--loss", loss])))
        assert (settings.chosen_temperature, settings.pairs, settings.map_size) == (temperature, 512, 32)
    assert args["matches"] * args["batch_size"] == 4096


def test_pairs_are_found_once_and_anew_where_a_frame_has_changed(rooms, tmp_path):
    scene = SceneFrames(write_wall_frames(tmp_path, "scene0005_00"))
    lines = []
    options = {"step": 25, "least": 0.3, "tolerance": 0.05, "stride": 1, "report": lines.append}
    first = find_pairs([scene], tmp_path / "cache", **options)
    again = find_pairs([scene], tmp_path / "cache", **options)
    np.testing.assert_array_equal(first.rows, again.rows)
    assert first.rows.tolist() == [[0, 0, 1], [0, 0, 2], [0, 1, 2]]
    every_second = find_pairs([scene], tmp_path / "cache", **options | {"step": 50})
    assert every_second.rows.tolist() == [[0, 0, 2]]
    depth = scene.folder / "depth" / "25.png"
    depth.write_bytes((scene.folder / "depth" / "75.png").read_bytes())
    find_pairs([scene], tmp_path / "cache", **options)
    assert [line.split("overlaps of ")[1].split()[0] for line in lines] == ["1", "0", "1", "1"]
    with pytest.raises(ValueError, match="no two frames of 1 scenes in .* pass a --frame_step below 100"):
        find_pairs([scene], tmp_path / "cache", **options | {"step": 100})
    for path in (tmp_path / "cache").glob("*.npz"):
        path.write_bytes(b"spoilt")
    with pytest.raises(ValueError, match="is damaged .* delete it"):
        find_pairs([scene], tmp_path / "cache", **options)


def test_what_does_not_go_together_is_refused(rooms, tmp_path):
    with pytest.raises(ValueError, match="--matches 300 is more than --num_points 200"):
        train(rooms, tmp_path, "--loss", "point_info_nce", "--matches", "300")
    with pytest.raises(ValueError, match="a training needs a --teacher"):
        train(rooms, tmp_path)
    with pytest.raises(FileNotFoundError, match="no image network at --teacher dgcnn-open; a teacher is random, imag"):
        train(rooms, tmp_path, "--teacher", "dgcnn-open")
    with pytest.raises(ValueError, match="--ema_decay"):
        train(rooms, tmp_path, "--ema_decay", "0.9")
    taught = ("--teacher", write_teacher(tmp_path / "teacher.pth"), "--batch_size", "1")
    with pytest.raises(ValueError, match="--batch_size 1 leaves BatchNorm .* pass 2 or more, or --global_weight 0"):
        train(rooms, tmp_path, *taught)
    assert not (tmp_path / "tiny").exists()
