"""scripts/pretrain_open.sh with a `python` that only records its arguments."""

import sys
from types import SimpleNamespace

import pytest

from tests.support.shell_calls import fake_python, make_checkout, parse, run_script, touch

RUN = "checkpoints/open_pointnet_seed2"
MADE = f"mkdir -p {RUN}/models checkpoints/open_dgcnn_seed1/models"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Make a checkout with two folders of meshes, in which data.make_programs parses any flags of its own."""
    folder = make_checkout(tmp_path)
    fake_python(folder, then=MADE)
    for name in ("free", "zlib set"):
        (folder / "meshes" / name).mkdir(parents=True)
    programs = SimpleNamespace(parse_args=lambda argv: SimpleNamespace(argv=argv))
    monkeypatch.setitem(sys.modules, "data.make_programs", programs)
    return folder


SOURCES = ("CC0-1.0=meshes/free", "Zlib=meshes/zlib set")


def test_all_shapes_become_one_file_one_training_and_one_card(checkout):
    done, calls = run_script(
        checkout, "pretrain_open.sh", *SOURCES, MODEL="pointnet", SEED="2", SCORES="real=data/real"
    )
    assert done.returncode == 0, done.stderr
    names, flags = zip(*map(parse, calls))
    assert list(names) == [
        *("data.render_views", "data.render_views", "data.get_furniture", "data.render_views", "data.make_programs"),
        *("data.merge", "data.pack", "train_crosspoint", "data.make_shapes", *["scripts.eval_svm"] * 6, "scripts.ship"),
    ]
    trees = [str(args.out) for args in flags[:2]] + [str(flags[3].out), flags[4].argv[1]]
    assert [str(root) for root in flags[5].roots] == trees
    assert [tree[0] for tree in flags[-1].tree] == trees
    assert [tree[2] for tree in flags[-1].tree] == ["CC0-1.0", "Zlib", "CC0, CC BY 3.0", "MIT, as this repository"]
    assert str(flags[3].mesh_dir) == f"{flags[2].out}/meshes/train"  # the test split stays unseen
    trained, ship = flags[7], flags[-1]
    assert (trained.model, trained.seed, trained.data_root) == ("pointnet", 2, str(flags[5].out))
    assert trained.packed == f"{flags[6].root}/shapenet_render.h5"
    assert (str(ship.run), ship.name, ship.overwrite) == (RUN, "pointnet-open", False)
    assert ship.command.endswith("bash scripts/pretrain_open.sh CC0-1.0=meshes/free Zlib=meshes/zlib\\ set")
    assert [name for name, *_ in ship.scores] == ["built-in", "furniture", "real"]
    asked = [args.json for args in flags[9:15]]
    assert [report for _, *reports in ship.scores for report in reports] == asked
    assert [args.random_init for args in flags[9:15]] == [True, False] * 3
    assert {(args.k, args.copies, args.whiten) for args in flags[9:15]} == {(ship.k, 2, 0.003)} == {(30, 2, 0.003)}


def test_parts_can_be_left_out_and_the_recipe_replaced(checkout):
    given = {"FURNITURE": "0", "PROGRAMS": "0", "RECIPE": "--epochs 3", "WEIGHTS": "ema_last.pth"}
    calls = [parse(call) for call in run_script(checkout, "pretrain_open.sh", SOURCES[0], **given)[1]]
    names = [name for name, _ in calls]
    assert names[:4] == ["data.render_views", "data.merge", "data.pack", "train_crosspoint"]
    assert calls[3][1].epochs == 3
    assert calls[-1][1].weights == "ema_last.pth"


def test_what_is_finished_is_not_done_again_and_other_shapes_are_packed_anew(checkout):
    given = {"FURNITURE": "0", "PROGRAMS": "0"}
    run_script(checkout, "pretrain_open.sh", SOURCES[0], **given)
    touch(checkout, "data/open/all/shapenet_render.h5", age=-1e9)  # newer than all
    again = [parse(call)[0] for call in run_script(checkout, "pretrain_open.sh", SOURCES[0], **given)[1]]
    assert again[0] == "train_crosspoint"
    more = [parse(call)[0] for call in run_script(checkout, "pretrain_open.sh", *SOURCES, **given)[1]]
    assert more[:3] == ["data.render_views", "data.merge", "data.pack"]


def test_meshes_that_fail_stop_it_unless_they_may_be_skipped(checkout):
    fake_python(checkout, then=MADE + '; [ "$2" != data.render_views ] || exit 1')
    done, calls = run_script(checkout, "pretrain_open.sh", SOURCES[0])
    assert (done.returncode, len(calls)) == (1, 1)
    assert "SKIP_FAILED=1" in done.stderr
    done, _ = run_script(checkout, "pretrain_open.sh", SOURCES[0], SKIP_FAILED="1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words, variables, expected",
    [
        (("meshes/free",), {}, "expected LICENCE=FOLDER"),
        (("CC0-1.0=meshes/none",), {}, "expected LICENCE=FOLDER"),
        ((), {"FURNITURE": "0", "PROGRAMS": "0"}, "no shapes"),
        ((), {"NAME": "there"}, "pretrained/there.json is there"),
    ],
)
def test_misuse_is_told_before_anything_is_made(words, variables, expected, checkout):
    touch(checkout, "pretrained/there.json")
    done, calls = run_script(checkout, "pretrain_open.sh", *words, **variables)
    assert (done.returncode, calls) == (2, [])
    assert expected in done.stderr
