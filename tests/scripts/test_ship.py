"""A finished run becomes weights, card, log and table; nothing that has seen a label does."""

import json
import shutil

import numpy as np
import pytest
import torch

import train_partseg
from data import merge
from models.encoders.registry import build_encoder
from models.methods.classification import CloudClassifier
from models.weights import shipped
from scripts import finetune_cls, pretrain_multiview, ship
from tests.support.entry_programs import call, error_of
from tests.support.shipped_weights import check_shipped, write_finished_run
from tests.support.tiny_trees import cloud, pack, write_ply, write_shapenet
from utils import markdown
from utils.classification.classifier_weights import classifier_state
from utils.pretrained import load
from utils.pretraining.pair_loader import SourceSettings, open_source
from utils.results import shipping
from utils.run.provenance import file_sha256
from utils.run.run_note import note_run
from utils.settings import Record
from utils.training.data_order import order_digest

POINTS = np.random.default_rng(0).random((2, 31, 3))
README = "above\n<!-- weights: begin -->\n<!-- weights: end -->\n"
COMMON = {"dataset": "modelnet40", "split": "test", "num_points": 61, "normalize": True, "model": "pointnet", "k": None}
RANDOM = {"weights": "random", "checkpoint": None, "checkpoint_sha256": None}


def report(path, weights, accuracies):
    """Write what scripts.eval_svm would: the fair SVM's and the nearest neighbour's accuracy."""
    tasks = (("linear_svm", "fair"), ("nearest_neighbour", "cosine"))
    records = [
        {**COMMON, **weights, "task": task, "protocol": name, "accuracy": value, "mean_class_accuracy": 0.0, "seed": 0}
        for (task, name), value in zip(tasks, accuracies)
    ]
    path.write_text(json.dumps({"machine": "m", "commit": "c", "command": "x", "results": records}))
    return path


@pytest.fixture
def words(tmp_path):
    """The words of a call that ships a run, and everything it reads."""
    run = write_finished_run(tmp_path / "run", data_root=str(tmp_path / "tree"))
    weights = run / "models" / "ckpt_epoch_last.pth"
    for name in ("a/1", "a/2", "b/1"):
        write_ply(tmp_path / "tree" / "ShapeNet" / f"{name}.ply", POINTS[0])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text(README)
    own = {"weights": "checkpoint", "checkpoint": str(weights), "checkpoint_sha256": file_sha256(weights)}
    reports = [
        report(tmp_path / "random1.json", RANDOM, (0.5, 0.2)),
        report(tmp_path / "random2.json", RANDOM, (0.6, 0.4)),
        report(tmp_path / "own.json", own, (0.75, 0.5)),
    ]
    tree = ("--tree", tmp_path / "tree", "chairs", "CC0-1.0")
    return [run, "--name", "tiny-open", "--out", tmp_path / "out", *tree, "--scores", "real shapes", *reports]


def test_a_run_ships_with_its_card_and_stands_in_the_table(words, tmp_path, monkeypatch, capsys):
    call(ship, *words, "--command", "bash all.sh")
    out = tmp_path / "out"
    card = json.loads((out / "tiny-open.json").read_text())
    assert card["sources"] == [{"name": "chairs", "licence": "CC0-1.0", "shapes": 3}]
    svm, neighbour = card["figures"]
    assert (svm["random"], svm["shipped"], neighbour["random"], neighbour["shipped"]) == (0.55, 0.75, 0.3, 0.5)
    assert "CC0-1.0" in card["licence"]
    assert (card["command"], card["train_commands"]) == ("bash all.sh", ["train_crosspoint.py --seed 3"])
    check_shipped(out, "tiny-open")
    (out / "tiny-open.json").write_text(json.dumps(card | {"example": [-value for value in card["example"]]}))
    with pytest.raises(AssertionError, match="the feature of the example cloud differs"):
        check_shipped(out, "tiny-open")
    table = (out / "README.md").read_text()
    assert "| `tiny-open` | real shapes (61 points, normalised) | linear SVM, fair" in table
    assert "| 55.0 | 75.0 | +20.0 |" in table
    assert "3 chairs (CC0-1.0)" in table
    monkeypatch.setattr(shipped, "SHIPPED", out)
    before = load(tmp_path / "run" / "models" / "ckpt_epoch_last.pth", device="cpu")(POINTS)
    assert np.array_equal(load("tiny-open", device="cpu")(POINTS), before)
    assert "inv_head" not in (out / "tiny-open.safetensors").read_bytes()[:20000].decode(errors="replace")
    assert "tiny-open.json exists" in error_of(lambda: call(ship, *words), capsys)


def left_in(out):
    return sorted(path.name for path in out.iterdir())


@pytest.mark.parametrize(
    "flags, expected",
    [
        (
            {"image_teacher_labels": "ImageNet"},
            "labels have entered the run of .*, those of its image teacher, ImageNet",
        ),
        ({"image_weights": "imagenet"}, "those of its --image_weights"),
        ({"model_path": "a.pth"}, "began with the weights a.pth"),
        ({"pretrained_path": "b.pth"}, "began with the weights b.pth"),
    ],
)
def test_weights_of_other_origin_do_not_ship(flags, expected, words, tmp_path):
    write_finished_run(tmp_path / "run", **flags)
    with pytest.raises(ValueError, match=expected):
        call(ship, *words)
    write_finished_run(tmp_path / "other", **flags)
    write_finished_run(tmp_path / "run")
    weights = tmp_path / "run" / "models" / "ckpt_epoch_last.pth"
    shutil.copyfile(tmp_path / "other" / "models" / "ckpt_epoch_last.pth", weights)
    with pytest.raises(ValueError, match=expected):
        call(ship, *words)
    assert left_in(tmp_path / "out") == ["README.md"]


@pytest.mark.parametrize(
    "program, flags",
    [
        (finetune_cls, ["--dataset", "modelnet40", "--pretrained_path", "a.pth"]),
        (train_partseg, []),
        (pretrain_multiview, ["--teacher", "t.pth"]),
    ],
)
def test_only_runs_of_train_crosspoint_ship(program, flags, words, tmp_path, capsys):
    name = program.__name__.split(".")[-1] + ".py"
    config = {"command": f"/a/scripts/{name} --x 1", "flags": vars(program.parse_args(flags))}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    message = error_of(lambda: call(ship, *words), capsys)
    assert message.startswith(f"error: {tmp_path / 'run' / 'config.json'} is not of train_crosspoint.py but of {name}")
    assert left_in(tmp_path / "out") == ["README.md"]


def test_a_classifier_among_the_weights_of_a_pre_training_does_not_ship(words, tmp_path):
    path = tmp_path / "run" / "models" / "ckpt_epoch_last.pth"
    state = classifier_state(CloudClassifier(build_encoder("pointnet"), 2), "pointnet", None, {}, {})
    torch.save(state, path)
    with pytest.raises(ValueError, match="ckpt_epoch_last.pth is not of train_crosspoint.py but of a run that it does"):
        call(ship, *words)
    note_run(state, "Classification", Record({"lr": 0.1}, frozenset()))
    torch.save(state, path)
    with pytest.raises(ValueError, match="not of train_crosspoint.py but of the method Classification"):
        call(ship, *words)
    note_run(state, "CrossPoint", Record({"cmid_weight": 1.0}, frozenset()))
    torch.save(state, path)
    with pytest.raises(ValueError, match="ckpt_epoch_last.pth holds a network trained with labels"):
        call(ship, *words)


def of_run(words, tmp_path, *trees, **flags):
    """Return the words of a call that ships a run with these flags, as trained on these trees."""
    run = write_finished_run(tmp_path / "run", **flags)
    given = [word for tree in trees for word in ("--tree", tree, f"shapes of {tree.name}", "CC0-1.0")]
    return [run, "--name", "tiny-open", "--out", tmp_path / "out", *given]


@pytest.fixture
def merged(words, tmp_path):
    """Two trees with shapes of the same names, and one of links to them, packed."""
    trees = [tmp_path / "trees" / name for name in ("chairs", "games")]
    write_shapenet(trees[0])
    write_shapenet(trees[1], ["02/z", "02/a", "02/b", "02/y"])  # other clouds than chairs have under these names
    call(merge, *trees, "--out", tmp_path / "all")
    return trees, {"data_root": str(tmp_path / "all"), "packed": str(pack(tmp_path / "all", tmp_path / "all.h5"))}


@pytest.mark.parametrize("storage", ["links", "packed"])
def test_merged_trees_ship_as_what_the_run_saw(storage, merged, words, tmp_path, capsys):
    (chairs, games), flags = merged
    flags |= {"packed": None} if storage == "links" else {}
    call(ship, *of_run(words, tmp_path, chairs, games, **flags))
    card = json.loads((tmp_path / "out" / "tiny-open.json").read_text())
    assert [source["shapes"] for source in card["sources"]] == [3, 4]
    assert "warning" not in capsys.readouterr().out


def test_trees_that_were_merged_twice_or_copied_since_are_those_of_the_run(merged, words, tmp_path, capsys):
    (chairs, games), _ = merged
    more = write_shapenet(tmp_path / "more", ["09/x"])
    call(merge, tmp_path / "all", more, "--out", tmp_path / "everything")
    copied = shutil.copytree(chairs, tmp_path / "renamed")
    call(ship, *of_run(words, tmp_path, copied, games, more, data_root=str(tmp_path / "everything")))
    card = json.loads((tmp_path / "out" / "tiny-open.json").read_text())
    assert [source["shapes"] for source in card["sources"]] == [3, 4, 1]


def test_a_tree_that_the_run_has_not_seen_is_refused(merged, words, tmp_path, capsys):
    (chairs, games), flags = merged
    other = write_shapenet(tmp_path / "other", ["07/x", "07/y"])
    message = error_of(lambda: call(ship, *of_run(words, tmp_path, chairs, games, other, **flags)), capsys)
    assert message.startswith(f"error: {other} is no part of {flags['packed']}, the data of {tmp_path / 'run'}")
    assert "none of its 2 shapes, first 07/x, is there" in message
    namesake = write_shapenet(tmp_path / "new" / "chairs", num_points=61)
    message = error_of(lambda: call(ship, *of_run(words, tmp_path, namesake, games, **flags)), capsys)
    assert "3 of its 3 shapes have a namesake there, first 02/a, but none has the same cloud" in message
    assert left_in(tmp_path / "out") == ["README.md"]


def test_shapes_of_the_run_without_a_licence_are_named(merged, words, tmp_path, capsys):
    (chairs, _), flags = merged
    message = error_of(lambda: call(ship, *of_run(words, tmp_path, chairs, **flags)), capsys)
    assert "4 of the 7 shapes of" in message
    assert "first games__02/a, are in no --tree" in message
    assert left_in(tmp_path / "out") == ["README.md"]


def test_a_tree_given_twice_is_not_counted_twice(merged, words, tmp_path, capsys):
    (chairs, games), flags = merged
    message = error_of(lambda: call(ship, *of_run(words, tmp_path, chairs, games, chairs, **flags)), capsys)
    assert message.startswith(f"error: 3 shapes of {chairs}, first chairs__02/a of ")
    assert "are in a --tree before it too" in message


def test_shapes_that_came_to_a_tree_after_the_training_are_not_counted(merged, words, tmp_path, capsys):
    (chairs, games), flags = merged
    write_ply(chairs / "ShapeNet" / "09" / "new.ply", cloud(99))
    call(ship, *of_run(words, tmp_path, chairs, games, **flags))
    card = json.loads((tmp_path / "out" / "tiny-open.json").read_text())
    assert [source["shapes"] for source in card["sources"]] == [3, 4]
    assert f"1 of the 4 shapes in {chairs} are not in" in capsys.readouterr().out


@pytest.mark.parametrize("gone", [{"data_root": "nowhere", "packed": None}, {"shards": "http://a/b"}])
def test_where_the_data_of_the_run_cannot_be_read_a_line_says_so(gone, merged, words, tmp_path, capsys):
    (chairs, _), flags = merged
    call(ship, *of_run(words, tmp_path, chairs, **flags | gone))
    place = gone.get("shards") or "nowhere"
    assert f"warning: the data of {tmp_path / 'run'}, {place}, cannot be read here" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "tiny-open.json").read_text())["sources"][0]["shapes"] == 3


def test_data_that_have_changed_since_the_training_say_nothing_of_a_tree(merged, words, tmp_path, capsys):
    (chairs, games), flags = merged
    call(merge, chairs, "--out", tmp_path / "all")
    source = open_source(SourceSettings(data_root=flags["data_root"]), num_points=2)
    state = {"data_order": order_digest(source)}  # of a training with images
    flags |= {"packed": None}
    given = of_run(words, tmp_path, chairs, **flags)
    torch.save(state, tmp_path / "run" / "last.pt")
    call(ship, *given)
    assert "warning" not in capsys.readouterr().out
    call(merge, games, "--out", tmp_path / "all")
    call(ship, *given, "--overwrite")
    written = capsys.readouterr().out
    assert f"warning: {flags['data_root']} no longer holds what {tmp_path / 'run'} was trained on" in written


def test_fewer_than_one_neighbour_are_refused(words, capsys):
    assert error_of(lambda: call(ship, *words, "--k", 0), capsys) == "error: --k must be at least 1, got 0"


@pytest.mark.parametrize("readme", [None, "no place for a table\n"])
def test_a_folder_without_a_place_for_the_table_is_refused_before_anything_is_written(readme, words, tmp_path, capsys):
    path = tmp_path / "out" / "README.md"
    path.unlink()
    if readme:
        path.write_text(readme)
    message = error_of(lambda: call(ship, *words), capsys)
    assert message.startswith(f"error: {path}: expected ")
    assert "<!-- weights: begin -->" in message
    assert left_in(tmp_path / "out") == ["README.md"] * bool(readme)


def test_where_the_table_cannot_be_written_no_weights_stay(words, tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(markdown, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        call(ship, *words)
    assert left_in(tmp_path / "out") == ["README.md"]


def test_what_is_no_fair_comparison_is_refused(words, tmp_path):
    with pytest.raises(ValueError, match="give those of random and of these weights"):
        call(ship, *words[:-3], words[-1], words[-1])
    report(words[-1], {"weights": "checkpoint", "checkpoint": "old.pth", "checkpoint_sha256": "0"}, (0.9, 0.9))
    with pytest.raises(ValueError, match="on real shapes are of other weights: old.pth"):
        call(ship, *words)


def test_the_file_asks_for_the_neighbours_that_were_scored(words, tmp_path):
    write_finished_run(tmp_path / "run", "dgcnn", data_root=str(tmp_path / "tree"))
    weights = tmp_path / "run" / "models" / "ckpt_epoch_last.pth"
    own = {"weights": "checkpoint", "checkpoint": str(weights), "checkpoint_sha256": file_sha256(weights)}
    dgcnn = {"model": "dgcnn", "k": 11}
    reports = [report(tmp_path / f"{i}.json", side | dgcnn, (0.5, 0.2)) for i, side in enumerate((RANDOM, own))]
    with pytest.raises(ValueError, match="with k 11, the weights ship with k 7"):
        call(ship, *words[:-3], *reports)
    call(ship, *words[:-3], *reports, "--k", 11)
    assert load(tmp_path / "out" / "tiny-open.safetensors").module.k == 11
    assert json.loads((tmp_path / "out" / "tiny-open.json").read_text())["k"] == 11


def test_shapes_need_a_licence_and_weights_must_be_small(words, tmp_path, monkeypatch):
    place = words.index("CC0-1.0")
    with pytest.raises(ValueError, match="under which licence"):
        call(ship, *words[:place], " ", *words[place + 1 :])
    monkeypatch.setattr(shipping, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1000"):
        call(ship, *words)
