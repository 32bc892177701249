"""benchmarks/real_shapes.sh with a `python` that only records its arguments."""

import shutil
import sys
from types import SimpleNamespace

import pytest

from tests.conftest import REPO
from tests.support.shell_calls import fake_python, make_checkout, parse, run_script

SCRIPT = "../benchmarks/real_shapes.sh"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Make a checkout with meshes and a labelled set, in which data.make_programs parses any flags of its own."""
    folder = make_checkout(tmp_path)
    (folder / "benchmarks").mkdir()
    shutil.copy(REPO / "benchmarks" / "real_shapes.sh", folder / "benchmarks")
    fake_python(folder, then="[ $1 != train_crosspoint.py ] || mkdir -p checkpoints/real_shapes/$3/models")
    for name in ("meshes/mine", "labelled"):
        (folder / name).mkdir(parents=True)
    programs = SimpleNamespace(parse_args=lambda argv: SimpleNamespace(argv=argv))
    monkeypatch.setitem(sys.modules, "data.make_programs", programs)
    return folder


def test_each_row_is_trained_on_its_shapes_and_scored_as_random_weights_are(checkout):
    done, calls = run_script(checkout, SCRIPT, "meshes/mine", LABELLED="labelled", SEEDS="2", RECORD="real")
    assert done.returncode == 0, done.stderr
    asked = [parse(call) for call in calls]
    trained = {args.exp_name: args for name, args in asked if name == "train_crosspoint"}
    assert list(trained) == ["label_free_seed2", "image_teacher_seed2", "programs_seed2"]
    assert [args.cmid_weight for args in trained.values()] == [0, 1, 0]
    assert [args.image_teacher for args in trained.values()] == ["none", "imagenet", "none"]
    assert [args.data_root for args in trained.values()] == [
        f"data/real_shapes/{t}" for t in ("real", "real", "programs")
    ]
    assert {(args.seed, args.epochs, args.rotation) for args in trained.values()} == {(2, 20, "none")}
    for program, each in (("scripts.eval_svm", 2), ("scripts.eval_fewshot", 1), ("scripts.finetune_cls", 1)):
        scored = [args for name, args in asked if name == program]
        assert len(scored) == 4 * each
        for number in range(each):  # random weights first
            plain = [(args.k, getattr(args, "copies", 1), args.data_root, args.seed) for args in scored[number::each]]
            assert len(set(plain)) == 1
    records = [args for name, args in asked if name == "scripts.make_results_table" and args.append]
    assert [args.run for args in records] == [
        f"real shapes: {row}" for row in ("label_free", "image_teacher", "programs")
    ]
    tables = [args for name, args in asked if name == "scripts.make_results_table" and not args.append]
    for args, row in zip([*records, *tables], 2 * ("label_free", "image_teacher", "programs"), strict=True):
        folders = {path.parts[2].rpartition("_")[0] for path in args.reports}
        assert folders == {row, "random"}  # rows have the same seeds


@pytest.mark.parametrize(
    "words, variables, expected",
    [
        (("meshes/mine",), {}, "LABELLED="),
        (("meshes/none",), {"LABELLED": "labelled"}, "folders of meshes, got meshes/none"),
        ((), {"LABELLED": "labelled"}, "no meshes to learn from"),
    ],
)
def test_misuse_is_told_before_anything_is_made(words, variables, expected, checkout):
    done, calls = run_script(checkout, SCRIPT, *words, **variables)
    assert (done.returncode, calls) == (2, [])
    assert expected in done.stderr
