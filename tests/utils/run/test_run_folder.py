from pathlib import Path

import pytest

from utils.run.folder import RunSettings, open_run
from utils.run.names import FEATURES_FOLDER
from utils.settings import Record


def start(tmp_path, flags=None, **how):
    settings = RunSettings(exp_name=tmp_path.name, output_dir=str(tmp_path.parent), **how)
    with open_run(settings, Record(flags or {"seed": 1}, frozenset())):
        pass


@pytest.mark.parametrize("name", [".last.pt.a1b2", ".previous.pt.link", ".config.json.a1", ".results.json.a1"])
def test_what_a_kill_left_unfinished_is_removed_by_the_next_start(tmp_path, name):
    start(tmp_path)
    (tmp_path / name).write_bytes(b"half")
    (tmp_path / "models" / ".best_model.pth.a1b2").write_bytes(b"half")
    start(tmp_path, resume=True)
    assert sorted(path.name for path in tmp_path.rglob(".*")) == []
    assert (tmp_path / "config.json").is_file()


def test_a_file_in_place_of_the_folder_is_called_one(tmp_path):
    (tmp_path / "file").touch()
    for flag, path in (("--output_dir", tmp_path / "file" / "exp"), ("--exp_name", tmp_path / "file")):
        with pytest.raises(ValueError, match=f"^{flag} .*: {tmp_path / 'file'} is a file, a folder is expected; pass"):
            start(path)


def test_overwriting_removes_what_the_run_before_left_and_resuming_keeps_it(tmp_path):
    start(tmp_path)
    left = ["predictions.npz", "part_clouds.npz", "parts.png", "loss_curve.png", "results.json", "metrics.jsonl"]
    left += ["tsne.npz", "retrieval.png"]
    left += ["last.pt", "previous.pt", "nonfinite.pt", "models/best_model.pth", f"{FEATURES_FOLDER}/of_an_encoder.npy"]
    (tmp_path / FEATURES_FOLDER).mkdir()
    for name in left:
        (tmp_path / name).write_bytes(b"\n")
    start(tmp_path, resume=True)
    assert all((tmp_path / name).is_file() for name in left)
    start(tmp_path, overwrite=True)
    kept = {path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size}
    assert kept == {"config.json"}
    assert [name for name in left if (tmp_path / name).exists()] == ["metrics.jsonl"]  # begun anew


def test_a_run_of_another_program_is_not_continued(tmp_path, monkeypatch):
    def go_on(program, **flags):
        monkeypatch.setattr("sys.argv", [f"/code/scripts/{program}.py", "--exp_name", "tiny"])
        start(tmp_path, resume=True, flags=flags)

    monkeypatch.setattr("sys.argv", ["/code/scripts/train_detection.py"])
    start(tmp_path, flags={"lr": 0.1, "backbone": "sr_unet"})
    go_on("train_detection", lr=0.1)  # of an earlier version, which had a flag more
    go_on("renamed", lr=0.1, backbone="sr_unet", probe="none")
    with pytest.raises(ValueError, match=r"config\.json is of a run of train_detection, this is train_semseg: choose"):
        go_on("train_semseg", lr=0.2, probe="none")


@pytest.mark.parametrize("name", ["", ".", "./", "..", "../a", "a/..", "a/../../b", "/tmp/a"])
def test_a_name_that_is_no_folder_below_the_output_folder_is_refused(name):
    with pytest.raises(ValueError, match="--exp_name must name a folder below --output_dir ck, got '"):
        RunSettings(exp_name=name, output_dir="ck")


@pytest.mark.parametrize("name", ["a", "screen/a", "a..b", "..a", "./a"])
def test_a_name_may_hold_folders_and_dots(name):
    assert RunSettings(exp_name=name, output_dir="ck").folder == Path("ck") / name
