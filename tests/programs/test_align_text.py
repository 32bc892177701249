"""Alignment with texts: a run from data to towers, going on exactly, and what is refused."""

import json
import shutil
from collections import Counter

import pytest
import torch

from data import merge
from models.methods.text_alignment import load_towers
from models.text.clip_model import build_clip
from models.weights.published import load_encoder
from scripts import align_text, eval_zeroshot
from tests.support.alignment_runs import SHAPES, align, write_captioned
from tests.support.entry_programs import call
from tests.support.interruption import stopped_after
from tests.support.light_runs import built_by, flags_of, log_of, metrics, same, weights
from tests.support.program_calls import run
from tests.support.tiny_trees import pack, write_shapenet
from tests.support.toy_texts import TINY_CLIP, ToyTexts

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_captioned(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory, light_training):
    return align(root, tmp_path_factory.mktemp("whole"))


def test_a_run_leaves_towers_and_an_encoder_like_any_other(whole):
    assert [len(metrics(whole, f"loss/{name}")) for name in ("text", "image", "image_text")] == [2, 2, 2]
    towers = load_towers(whole / "models/towers_best.pth")
    assert (towers.text, towers.image_size) == (ToyTexts().describe(), 16)
    encoder = load_encoder(whole / "models/best_model.pth").encoder.state_dict()
    assert same(encoder, towers.point_encoder.state_dict())
    assert same(encoder, load_encoder(whole / "last.pt").encoder.state_dict())
    assert flags_of(whole)["text_sha256"] == ToyTexts().describe()["text_sha256"]
    assert "6 texts, such as 'a thing of 02691156'" in log_of(whole)


def test_a_stopped_run_goes_on_exactly(root, whole, tmp_path):
    with stopped_after(1):
        align(root, tmp_path)
    assert same(weights(align(root, tmp_path, "--resume")), weights(whole))
    assert metrics(tmp_path / "tiny") == metrics(whole)


def test_a_packed_file_trains_as_the_trees_do(root, whole, tmp_path):
    packed = pack(root, tmp_path / "p.h5")
    assert same(weights(align(root, tmp_path, "--packed", packed)), weights(whole))


def test_a_run_does_not_go_on_with_other_captions(root, tmp_path):
    data = shutil.copytree(root, tmp_path / "data")
    with stopped_after(1):
        align(data, tmp_path)
    captions = json.loads((data / "captions.json").read_text())
    (data / "captions.json").write_text(json.dumps(captions | {SHAPES[0]: "another"}))
    with pytest.raises(ValueError, match="cannot resume with other settings.*--texts_sha256 was"):
        align(data, tmp_path, "--resume")


@pytest.fixture(scope="module")
def merged(root, tmp_path_factory):
    """The tree of captions and one without any, whose mugs are of a folder of this name, as one tree of links."""
    mine = write_shapenet(tmp_path_factory.mktemp("trees") / "mine", ["mug/1", "FloorLamp/1"], num_views=2, size=16)
    call(merge, root, mine, "--out", mine.parent / "both")
    return mine.parent / "both"


@pytest.mark.parametrize("storage", ["links", "packed"])
def test_classes_of_merged_trees_are_those_of_their_own_trees(storage, merged, root, tmp_path):
    packed = ("--packed", pack(merged, tmp_path / "p.h5")) if storage == "packed" else ()
    folder = root if packed else merged  # the file says what was packed
    texts = built_by(lambda: align(folder, tmp_path, "--texts", "classes", *packed)).loader.dataset.text_rows
    assert sorted(Counter(int(rows[0]) for rows in texts).values()) == [1, 3, 3, 4]  # floor lamps; 3 mugs and 1 are one
    assert "4 texts, such as 'Floor Lamp'" in log_of(tmp_path / "tiny")


def test_captions_of_merged_trees_advise_to_complete_their_own(merged, root, tmp_path, capsys):
    with pytest.raises(
        ValueError, match="no text of 2 of 11 shapes, the first mine__.*captions of its own tree and run"
    ):
        align(merged, tmp_path)
    call(merge, merged.parent / "mine", "--out", merged.parent / "one")
    with pytest.raises(FileNotFoundError, match="the trees that data.merge linked there had no captions.json"):
        align(merged.parent / "one", tmp_path)


def texts_of(training):
    """Return the texts that each shape of the training may have."""
    return [len(rows) for rows in training.loader.dataset.text_rows]


FLAGS = {
    "--texts classes": texts_of,
    "--text_weight 2": lambda t: t.method.text_weight,
    "--image_weight 0": lambda t: t.method.image_weight,
    "--image_text_weight 0": lambda t: t.method.image_text_weight,
    "--trained_images projection": lambda t: t.method.is_encoder_frozen,
    "--no-mask_same_text": lambda t: t.method.masks_same_text,
    "--image_depth 34": lambda t: t.method.towers.image_encoder.depth,
    "--max_scale 2": lambda t: t.loader.dataset.source.clouds,
    "--translation 0.3": lambda t: t.loader.dataset.source.clouds,
    "--image_size 24": lambda t: t.loader.dataset[0]["image"].shape,
    "--seed 5": lambda t: t.loader.dataset[0]["points"].sum(),
}


@pytest.mark.parametrize("flags", FLAGS)
def test_each_flag_changes_what_is_built(root, tmp_path, flags):
    plain = built_by(lambda: align(root, tmp_path, "--overwrite"))
    changed = built_by(lambda: align(root, tmp_path, "--overwrite", *flags.split()))
    assert FLAGS[flags](plain) != FLAGS[flags](changed)


def test_prompts_are_put_around_classes(root, tmp_path):
    training = built_by(lambda: align(root, tmp_path, "--texts", "classes", "--prompted"))
    assert texts_of(training) == [64] * len(SHAPES)


def test_texts_are_drawn_anew_in_each_epoch_and_equal_ones_have_one_number(root, tmp_path):
    items = built_by(lambda: align(root, tmp_path)).loader.dataset
    drawn = set()
    for epoch in range(8):
        items.set_epoch(epoch)
        found = items[0], items[1]
        assert (found[0]["text_id"] == found[1]["text_id"]) == torch.equal(found[0]["text"], found[1]["text"])
        drawn.add(found[0]["text_id"])
        assert torch.equal(found[0]["points"], items.__getitems__([0])[0]["points"])
    assert len(drawn) == 2
    assert items.source.epoch == 7


def test_the_published_towers_are_frozen_and_of_one_file(root, tmp_path):
    pytest.importorskip("open_clip")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY_CLIP))
    torch.manual_seed(3)
    clip = build_clip(TINY_CLIP)
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    file = ("--clip_file", tmp_path / "clip.pt", "--clip_model", tmp_path / "tiny.json")
    published = ("--text_tower", "clip", "--image_tower", "clip", "--no-mask_same_text", "--image_size", "32")
    run_dir = align(root, tmp_path, *file, *published)
    assert metrics(run_dir, "loss/image_text") == []
    towers = load_towers(run_dir / "models/towers_best.pth")
    assert torch.equal(towers.image_projection.weight, clip.visual.proj.T)
    assert torch.equal(towers.image_encoder.visual.conv1.weight, clip.visual.conv1.weight)
    assert towers.text["text"] == "clip"
    words = ("--towers", run_dir / "models/towers_best.pth", "--data_root", root, "--dataset", "shapes", *file)
    run(eval_zeroshot, *words, "--num_points", 48, "--device", "cpu", "--json", tmp_path / "zero.json")
    assert len(json.loads((tmp_path / "zero.json").read_text())["results"]) == 4
    with pytest.raises(ValueError, match="--image_size 16: this CLIP takes 32 pixels"):
        align(root, tmp_path, "--overwrite", *file, *published[:-2])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--image_weight", "0", "--image_text_weight", "0", "--background", "random"],
            "of which --image_weight 0 reads",
        ),
        (["--captions", "none.json"], "no captions at none.json: those of built-in shapes are added by their command"),
        (["--prompted"], "--prompted puts class names into prompts"),
        (["--shards", "x"], "--shards name no captions"),
        (["--augment", "device"], "--augment device knows CrossPoint's two clouds only"),
        (["--text_tower", "clip"], "name their file by --clip_file"),
        (["--trained_images", "none"], "random and would never learn"),
        (["--text_weight", "0", "--image_weight", "0"], "one of the first two > 0"),
    ],
)
def test_bad_settings_are_refused(root, tmp_path, flags, message):
    with pytest.raises((ValueError, OSError), match=message):
        align(root, tmp_path, *flags)


def test_defaults_are_ulips_where_it_has_them():
    flags = vars(align_text.parse_args([]))
    published = {"epochs": 250, "batch_size": 64, "lr": 0.001, "max_scale": 1.25, "translation": 0.1, "rotation": "y"}
    assert {name: flags[name] for name in published} == published
