"""The shell scripts, run with a `python` that only records its arguments: every command line must parse."""

import itertools
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.make_results_table import PUBLISHED
from tests.conftest import REPO
from tests.support.shell_calls import asked, fake_python, make_checkout, parse, run_script, touch
from utils.classification.recipes import ClassifierSettings
from utils.results.published_table import read_published

DATA, ENCODER = "data/shapes/make_shapes.json", "checkpoints/quickstart/models/best_model.pth"
QUICKSTART = ("checkpoints/quickstart/last.pt", ENCODER)


@pytest.fixture
def checkout(tmp_path):
    return make_checkout(tmp_path)


def finish_training(checkout, *, results=True):
    """Leave the run of the quickstart's own command; return the command."""
    command = run_script(checkout, "quickstart.sh")[1][2]
    touch(checkout, *QUICKSTART, *(["checkpoints/quickstart/models/ckpt_epoch_last.pth"] if results else []))
    (checkout / "checkpoints" / "quickstart" / "config.json").write_text(" ".join(command))
    return command


def test_quickstart_asks_every_program_what_it_understands_in_the_right_order(checkout):
    assert [module for module, _ in asked(checkout, "quickstart.sh")] == [
        *("data.make_shapes", "data.pack", "train_crosspoint", *["scripts.eval_svm"] * 4),
        *("scripts.plot_tsne", "scripts.make_results_table", "benchmarks.step"),
    ]
    assert run_script(checkout, "quickstart.sh")[0].stdout.splitlines()[-1].startswith("total: 0 min")


def test_quickstart_compares_both_encoders_on_both_sets_under_one_seed_and_one_network(checkout):
    _, _, training, *scores = [flags for _, flags in asked(checkout, "quickstart.sh", SEED="2")[:7]]
    assert training.exp_name == "quickstart_seed2"
    assert {(args.seed, args.k, args.data_root) for args in [training, *scores]} == {(2, training.k, "data/shapes")}
    compared = itertools.product(("modelnet40", "scanobjectnn"), (True, False))
    assert [(args.dataset, args.random_init) for args in scores] == list(compared)
    assert {args.model_path for args in scores} == {None, "checkpoints/quickstart_seed2/models/best_model.pth"}
    assert len({args.json for args in scores}) == 4


def test_quickstart_reuses_a_finished_run(checkout):
    finish_training(checkout)
    done, calls = run_script(checkout, "quickstart.sh")
    assert "train_crosspoint.py" not in [call[0] for call in calls]
    assert "reusing the finished run in checkpoints/quickstart" in done.stdout


def test_quickstart_goes_on_with_an_interrupted_run(checkout):
    first = finish_training(checkout, results=False)
    done, calls = run_script(checkout, "quickstart.sh")
    assert calls[2] == [*first, "--resume"]
    assert parse(calls[2])[1].resume
    assert "going on with the interrupted run" in done.stdout


def test_quickstart_refuses_a_run_with_other_settings(checkout):
    finish_training(checkout)
    config = checkout / "checkpoints" / "quickstart" / "config.json"
    config.write_text("train_crosspoint.py --exp_name quickstart --epochs 99")
    done, _ = run_script(checkout, "quickstart.sh")
    assert done.returncode != 0
    assert "rm -r checkpoints/quickstart" in done.stderr


@pytest.mark.parametrize("data_age, encoder_age", [(50, 40), (40, 50)])
def test_quickstart_scores_again_only_what_is_older_than_the_encoder_or_the_data(checkout, data_age, encoder_age):
    finish_training(checkout)
    touch(checkout, DATA, age=data_age)
    touch(checkout, ENCODER, age=encoder_age)
    touch(checkout, "checkpoints/quickstart/svm_modelnet40_random.json", age=30)
    touch(checkout, "checkpoints/quickstart/svm_modelnet40_pretrained.json", age=45)
    scored = [flags.json for module, flags in asked(checkout, "quickstart.sh") if module == "scripts.eval_svm"]
    names = ["modelnet40_pretrained", "scanobjectnn_random", "scanobjectnn_pretrained"]
    assert scored == [f"checkpoints/quickstart/svm_{name}.json" for name in names]


def test_quickstart_shows_shipped_weights_of_its_encoder_beside_random_ones(checkout):
    touch(checkout, "pretrained/dgcnn-open.safetensors", "pretrained/pointnet-open.safetensors")
    (checkout / "pretrained" / "dgcnn-open.json").write_text(
        json.dumps({"model": "dgcnn", "k": 30, "seed": 1}, indent=2)
    )
    calls = asked(checkout, "quickstart.sh")
    scored = [flags for module, flags in calls if module == "scripts.eval_svm"]
    random, shipped = scored[4:]
    assert (random.random_init, shipped.model_path) == (True, "pretrained/dgcnn-open.safetensors")
    assert random.dataset == shipped.dataset
    assert random.k == shipped.k == 30  # what the file asks for
    tables = [
        [str(path) for path in flags.reports] for module, flags in calls if module == "scripts.make_results_table"
    ]
    assert tables[1:] == [[random.json, shipped.json]]


def test_quickstart_stops_at_the_first_step_that_fails(checkout):
    fake_python(checkout, then='[ "$1" != train_crosspoint.py ] || exit 3')
    done, calls = run_script(checkout, "quickstart.sh")
    assert done.returncode == 3
    assert calls[-1][0] == "train_crosspoint.py"


def test_test_script_checks_style_first_and_hands_its_arguments_to_pytest(checkout):
    done, calls = run_script(checkout, "test.sh", "tests/models", "-k", "a and b")
    assert done.returncode == 0
    assert calls[:-1] == [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."]]
    assert calls[-1][:2] == ["-m", "pytest"]
    assert calls[-1][-3:] == ["tests/models", "-k", "a and b"]


@pytest.mark.parametrize("fault", ["check", "format", "pytest"])
def test_test_script_fails_when_any_of_its_checks_does(checkout, fault):
    fake_python(checkout, then=f'[[ " $* " != *" {fault} "* ]] || exit 1')
    assert run_script(checkout, "test.sh", "tests")[0].returncode == 1


@pytest.mark.parametrize(
    "browser, apt_get, asked, warning",
    [
        ("chromium", "exit 1", [], ""),
        ("", "", [], ""),
        ("", "exit 0", ["-q -y update", "-q -y install --no-install-recommends chromium"], ""),
        ("", "echo E: offline; exit 1", ["-q -y update"], "warning: no Chromium for the browser tests: E: offline\n"),
    ],
)
def test_ci_installs_a_browser_where_it_can_and_runs_the_tests_all_the_same(tmp_path, browser, apt_get, asked, warning):
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "dirname", "id", "env", "mktemp", "grep", "tail", "rm"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    noted = tmp_path / "asked"
    programs = {"sudo": 'shift; exec "$@"', browser: "exit 1", "apt-get": apt_get and f'echo "$@" >>{noted}; {apt_get}'}
    for name in filter(programs.get, filter(None, programs)):
        (tmp_path / "bin" / name).write_text(f"#!{shutil.which('bash')}\n{programs[name]}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    for file, text in {".ci/run": (REPO / ".ci" / "run").read_text(), "scripts/test.sh": "echo tested; exit 3"}.items():
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(text)
    words = [shutil.which("bash"), str(tmp_path / ".ci" / "run")]
    done = subprocess.run(words, env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "tested\n", warning)
    assert (noted.read_text().splitlines() if noted.exists() else []) == asked


RECIPES = {
    "pt-cls.sh": "train_crosspoint",
    "pt-partseg.sh": "train_crosspoint",
    "ft-mn.sh": "scripts.finetune_cls",
    "ft-so.sh": "scripts.finetune_cls",
    "ft-partseg.sh": "train_partseg",
    "fsl_script.sh": "scripts.eval_fewshot",
}


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_is_one_command_and_flags_behind_it_win(checkout, name):
    ((module, flags),) = asked(checkout, name, "--k", "7", "--seed", "3")
    assert (module, flags.k, flags.seed) == (RECIPES[name], 7, 3)


def test_what_is_fine_tuned_is_what_was_pre_trained(checkout):
    flags = {name: asked(checkout, name)[0][1] for name in RECIPES}
    whole, parts = (f"checkpoints/{flags[name].exp_name}/models/best_model.pth" for name in list(RECIPES)[:2])
    assert flags["ft-mn.sh"].pretrained_path == flags["ft-so.sh"].pretrained_path == whole
    assert flags["fsl_script.sh"].model_path == whole
    assert flags["ft-partseg.sh"].pretrained_path == parts


def test_script_sh_runs_all_in_order_and_continues_what_is_there(checkout):
    calls = asked(checkout, "script.sh")
    order = ["pt-cls.sh", "fsl_script.sh", "pt-partseg.sh", "ft-partseg.sh"]
    assert [module for module, _ in calls] == [RECIPES[name] for name in order]
    assert [flags.resume for _, flags in calls if hasattr(flags, "resume")] == [False] * 3
    touch(checkout, "checkpoints/crosspoint_dgcnn_seg/last.pt")
    calls = asked(checkout, "script.sh")
    assert [flags.resume for _, flags in calls if hasattr(flags, "resume")] == [False, True, False]


@pytest.fixture
def trained(checkout):
    """Make a checkout with the data and the encoder of a finished quickstart."""
    touch(checkout, DATA, "data/held_out/make_shapes.json", *QUICKSTART)
    return checkout


def test_downstream_asks_for_the_quickstart_first(checkout):
    done, calls = run_script(checkout, "downstream.sh")
    assert (done.returncode, calls) == (2, [])
    assert "bash scripts/quickstart.sh" in done.stderr


def test_downstream_compares_every_task_with_random_weights_under_the_same_flags(trained):
    calls = asked(trained, "downstream.sh", SEEDS="1 2")
    assert [module for module, _ in calls] == [
        *["scripts.eval_fewshot"] * 4, *["scripts.finetune_cls"] * 4, *["train_partseg"] * 4, "data.make_shapes",
        *["scripts.retrieve"] * 2, "scripts.export", "scripts.report", "scripts.make_results_table",
    ]  # fmt: skip
    start = {"random_init", "model_path", "pretrained_path", "model", "k", "json", "exp_name", "out"}
    for module in ("scripts.eval_fewshot", "scripts.finetune_cls", "train_partseg", "scripts.retrieve"):
        flags = [vars(args) for name, args in calls if name == module]
        for random, pretrained in zip(flags[::2], flags[1::2]):
            assert {key for key in random if random[key] != pretrained[key]} <= start
            assert random.get("random_init", not random.get("pretrained_path"))
            assert not pretrained.get("random_init", not pretrained.get("pretrained_path"))
    seeds = [args.seed for name, args in calls if name == "train_partseg"]
    assert seeds == [1, 1, 2, 2]


@pytest.mark.parametrize("model", ["dgcnn", "pointnet_tnet"])
def test_multiview_compares_every_task_under_the_same_flags(trained, model):
    calls = asked(trained, "multiview.sh", MODEL=model, SEED="2")
    names = ["random", "multiview", *(["crosspoint"] if model == "dgcnn" else [])]
    tasks = ["scripts.eval_fewshot", "scripts.finetune_cls", "train_partseg"]
    assert [module for module, _ in calls] == [
        *["data.make_shapes", "data.pack", "scripts.pretrain_images", "scripts.pretrain_multiview"],
        *["scripts.eval_svm"] * len(names), *(task for task in tasks for _ in names),
        *["scripts.report", *["scripts.make_results_table"] * (len(names) - 1)],
    ]  # fmt: skip
    weights = {
        "random": None,
        "multiview": f"checkpoints/multiview_{model}_seed2/models/best_model.pth",
        "crosspoint": ENCODER,
    }
    start = {"random_init", "model_path", "pretrained_path", "model", "k", "json", "exp_name", "output_dir"}
    for task in ["scripts.eval_svm", *tasks]:
        flags = [vars(args) for name, args in calls if name == task]
        for name, found in zip(names, flags):
            assert (found.get("pretrained_path") or found["model_path"] or None) == weights[name]
            assert {key for key in found if found[key] != flags[0][key]} <= start
            assert found["seed"] == 2
    taught = next(args for name, args in calls if name == "scripts.pretrain_multiview")
    assert taught.teacher == "checkpoints/multiview_teacher_seed2/models/teacher_last.pth"


@pytest.mark.parametrize("tiny", ["", "1"])
def test_crossmost_adapts_to_scans_of_other_shapes_than_those_of_the_test_and_scores_all_alike(checkout, tiny):
    done, calls = run_script(checkout, "crossmost.sh", SEED="2", TINY=tiny)
    assert done.returncode == 0, done.stderr
    calls = [parse(call) for call in calls]
    assert [module for module, _ in calls] == [
        *["data.make_shapes"] * 3, "scripts.align_text", *["scripts.eval_zeroshot"] * 3,
        *["scripts.train_crossmost"] * 2, *["scripts.eval_zeroshot"] * 3, "scripts.compare_zeroshot",
    ]  # fmt: skip
    flags = [args for _, args in calls]
    clean, scanned, test = flags[:3]
    assert [made.clouds for made in (clean, scanned, test)] == ["surface", "scans", "scans"]
    assert len({made.seed for made in (clean, scanned, test)}) == 3
    separate, joint = (vars(args) for args in flags[7:9])
    assert {key for key in joint if joint[key] != separate[key]} == {"labels", "exp_name"}
    assert (joint["labels"], joint["data_root"]) == ("joint", str(scanned.out))
    evaluations = flags[4:7] + flags[9:12]
    assert {args.data_root for args in [*evaluations, flags[12]]} == {str(test.out)}
    start = f"checkpoints/{flags[3].exp_name}/models/towers_best.pth"
    assert [str(args.towers) for args in evaluations[:3]] == [start] * 3 == [joint["towers"]] * 3
    assert [args.random_init for args in evaluations] == [True, *[False] * 5]
    assert [str(args.towers).split("/")[1] for args in evaluations[3:]] == [
        separate["exp_name"], *[joint["exp_name"]] * 2,
    ]  # fmt: skip
    assert [str(path) for path in flags[12].reports] == [args.json for args in evaluations]
    assert {args.seed for args in [flags[3], *flags[7:9], *evaluations]} == {2}


def test_crossmost_does_not_reuse_a_self_training_of_other_towers(checkout):
    run = "checkpoints/crossmost_dgcnn_seed1_joint"
    flags = next(call for call in run_script(checkout, "crossmost.sh")[1] if "joint" in call)[2:]
    for age in (1, -1):
        touch(checkout, "checkpoints/crossmost_dgcnn_seed1_aligned/models/towers_best.pth", age=age)
        touch(checkout, f"{run}/models/ckpt_epoch_last.pth", f"{run}/config.json")
        done, calls = run_script(checkout, "crossmost.sh")
        assert (done.returncode, flags in [call[2:] for call in calls]) == ((0, False) if age > 0 else (1, False))
    assert f"towers_best.pth is newer than the run in {run}, which began with others" in done.stderr


def test_multiview_asks_for_the_quickstart_first(checkout):
    done, calls = run_script(checkout, "multiview.sh")
    assert (done.returncode, calls) == (2, [])
    assert "bash scripts/quickstart.sh" in done.stderr


def test_downstream_run_again_reuses_what_is_there_and_goes_on_with_a_training(trained):
    reports = [f"few_shot_{name}_1.json" for name in ("random", "pretrained")]
    made = [*reports, "encoder.pt2", "cls_random_1/results.json", "parts_random_1/last.pt"]
    touch(trained / "checkpoints" / "downstream", *made)
    calls = asked(trained, "downstream.sh", SEEDS="1")
    assert [module for module, _ in calls][:3] == ["scripts.finetune_cls", "train_partseg", "train_partseg"]
    assert "scripts.export" not in [module for module, _ in calls]
    assert [args.resume for _, args in calls[:3]] == [False, True, False]
    touch(trained, ENCODER, age=-60)
    again = [module for module, _ in asked(trained, "downstream.sh", SEEDS="1")]
    assert again.count("scripts.eval_fewshot") == 1  # the random encoder's figures still stand
    assert "scripts.export" in again


@pytest.mark.parametrize("name", ["ft-mn.sh", "ft-so.sh"])
def test_another_recipe_or_length_behind_a_fine_tuning_script_wins(checkout, name):
    flags = [asked(checkout, name, *more)[0][1] for more in ((), ("--recipe", "dgcnn"))]
    recipes = [ClassifierSettings.read(vars(one)) for one in flags]
    assert [(one.epochs, one.use_sgd) for one in recipes] == [(300, False), (250, True)]
    assert asked(checkout, name, "--steps", "7")[0][1].steps == 7


def test_the_command_beside_a_published_figure_makes_that_figure(checkout):
    rows = [row for row in read_published(PUBLISHED) if row["task"] in ("finetune_cls", "part_segmentation")]
    assert rows
    for row in rows:
        _, script, *more = shlex.split(row["command"])
        flags = asked(checkout, Path(script).name, *more)[0][1]
        assert (flags.pretrained_path == "") == (row["encoder"] == "random")
        if row["task"] == "finetune_cls":
            published = (row["protocol"], row["dataset"], row["variant"])
            assert (flags.recipe, flags.dataset, flags.variant or "") == published


@pytest.mark.parametrize("newer", [DATA, ENCODER])
def test_downstream_trains_again_from_new_weights_and_on_new_data(trained, newer):
    touch(trained / "checkpoints/downstream/cls_pretrained_1", "results.json", "last.pt", age=20)
    touch(trained, DATA, ENCODER, age=30)
    touch(trained, newer, age=10)
    calls = [flags for _, flags in asked(trained, "downstream.sh", SEEDS="1")]
    assert [flags.overwrite for flags in calls if getattr(flags, "exp_name", "") == "cls_pretrained_1"] == [True]
