"""scenes.sh with a `python` that only records its arguments: what is compared, reused and refused."""

import pytest

from tests.support.shell_calls import asked, fake_python, make_checkout, run_script, touch
from utils.detection.detector_training import DetectorSettings
from utils.semseg.semseg_settings import SemsegSettings

MADE, RUN = "data/scenes/make_rooms.json", "checkpoints/scenes_seed1"
WEIGHTS = f"{RUN}/models/best_model.pth"
TASKS = ("probe", "segment", "detect")
LOOK = [*["scripts.plot_semseg"] * 2, "scripts.make_results_table"]
# What programs leave, as far as the script looks at it: the table is made of existing results alone.
LEAVE = r"""
case "$2" in
  data.make_rooms) mkdir -p data/scenes; [ -f data/scenes/make_rooms.json ] || touch data/scenes/make_rooms.json ;;
  scripts.pretrain_scenes | scripts.train_*)
    out=checkpoints
    for word in "$@"; do
      [ "${last:-}" != --output_dir ] || out=$word
      [ "${last:-}" != --exp_name ] || name=$word
      last=$word
    done
    mkdir -p "$out/$name/models"
    touch "$out/$name/last.pt" "$out/$name/models/best_model.pth" "$out/$name/results.json"
    echo "$*" >"$out/$name/config.json" ;;
  scripts.plot_semseg) touch "$3/rooms.png" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    folder = make_checkout(tmp_path)
    fake_python(folder, then=LEAVE)
    return folder


def modules(calls):
    return [module for module, _ in calls]


def test_each_task_is_done_from_scratch_and_from_the_pretrained_weights_under_the_same_flags(checkout):
    calls = asked(checkout, "scenes.sh", SEED="2", VOXEL="0.2", EPOCHS="3")
    assert modules(calls) == [
        *["data.make_rooms", "scripts.pretrain_scenes"],
        *["scripts.train_semseg"] * 4,
        *["scripts.train_detection"] * 2,
        *LOOK,
    ]
    made, pretraining, *tasks = (flags for _, flags in calls[:8])
    assert (pretraining.seed, pretraining.voxel_size, pretraining.epochs) == (2, 0.2, 3)
    weights = "checkpoints/scenes_seed2/models/best_model.pth"
    for scratch, pretrained in zip(map(vars, tasks[::2]), map(vars, tasks[1::2])):
        assert {key for key in scratch if scratch[key] != pretrained[key]} == {"exp_name", "model_path"}
        assert (scratch["model_path"], pretrained["model_path"]) == ("", weights)
        voxel = scratch.get("voxel", scratch.get("voxel_size"))
        assert (voxel, scratch["seed"], scratch["data_root"], scratch["plan"]) == (
            0.2,
            2,
            str(made.out),
            pretraining.plan,
        )
    assert [flags.probe for flags in tasks[:4]] == ["linear_bn"] * 2 + ["none"] * 2
    assert [flags.label_fraction for flags in tasks[:4]] == [1, 1, 0.2, 0.2]
    for flags in tasks[:4]:  # flags that the program itself takes, not argparse alone
        SemsegSettings.read(vars(flags)).for_rooms("scannet", num_rooms=3)
    for flags in tasks[4:]:
        DetectorSettings.read(vars(flags)).filled()
    scored = {f"checkpoints/scenes_seed2/scenes/{task}_{start}/results.json" for task in TASKS
              for start in ("scratch", "pretrained")}  # fmt: skip
    assert {str(path) for path in calls[-1][1].reports} == scored


def test_finished_steps_are_not_run_again_and_a_training_goes_on(checkout):
    asked(checkout, "scenes.sh")
    assert modules(asked(checkout, "scenes.sh")) == ["data.make_rooms", "scripts.make_results_table"]
    (checkout / RUN / "scenes" / "probe_pretrained" / "results.json").unlink()
    calls = asked(checkout, "scenes.sh")
    assert modules(calls) == ["data.make_rooms", "scripts.train_semseg", "scripts.make_results_table"]
    flags = calls[1][1]
    assert (flags.exp_name, flags.resume, flags.model_path) == ("probe_pretrained", True, WEIGHTS)


@pytest.mark.parametrize(
    ("newer", "run", "variables"),
    [
        (MADE, RUN, {}),
        (WEIGHTS, f"{RUN}/scenes/probe_pretrained", {}),
        (None, f"{RUN}/scenes/probe_scratch", {"PROBE_STEPS": "7"}),
        (None, RUN, {"EPOCHS": "9"}),
    ],
)
def test_results_of_older_rooms_or_weights_or_of_other_settings_are_not_taken_for_these(
    checkout, newer, run, variables
):
    asked(checkout, "scenes.sh")
    for path in sorted((checkout / "checkpoints").rglob("*")):
        if path.is_file() and path.name != "config.json":
            touch(checkout, str(path.relative_to(checkout)), age=60)
    if newer:
        (checkout / newer).touch()
    done, _ = run_script(checkout, "scenes.sh", **variables)
    assert done.returncode == 1
    assert f"rm -r {run}\n" in done.stderr
