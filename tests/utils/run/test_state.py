import subprocess

import pytest
import torch

from utils.run.provenance import git_commit
from utils.run.state import (
    has_state,
    load_state,
    restore_rng,
    rng_state,
    save_atomically,
    save_state,
    set_aside_damaged,
)


def test_a_failed_write_keeps_the_previous_file(tmp_path):
    path = tmp_path / "last.pt"
    save_atomically({"a": 1}, path)
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        save_atomically({"a": lambda: None}, path)  # a local function cannot be written
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_nothing_to_resume_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="last.pt"):
        load_state(tmp_path, report=pytest.fail)


@pytest.mark.parametrize(
    "content, message",
    [
        ({}, r"last\.pt .* no bad_samples, best, config, optimizer, progress, rng, scaler, schedule, seconds"),
        ({"next_epoch": 3}, r"last\.pt was written by an earlier version.*resume it with that version"),
    ],
)
def test_a_file_of_another_kind_or_of_the_earlier_format_is_no_state(tmp_path, content, message):
    torch.save({"method": {}, **content}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=message):
        load_state(tmp_path, report=pytest.fail)


def test_generators_go_on_where_they_were():
    state = rng_state()
    first = torch.rand(3)
    restore_rng(state)
    assert torch.equal(torch.rand(3), first)


def test_a_commit_is_marked_when_code_differs_from_it_but_not_when_records_do(tmp_path):
    def git(*words):
        identity = ["-c", "user.name=n", "-c", "user.email=n@localhost"]
        return subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True)

    (tmp_path / "benchmarks").mkdir()
    files = [tmp_path / name for name in ("code.py", "README.md", "benchmarks/results.csv")]
    for path in files:
        path.write_text("first\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--no-verify", "-m", "first")
    commit = git("rev-parse", "--short", "HEAD").stdout.strip()
    for path in files[1:]:
        path.write_text("second\n")
    assert git_commit(tmp_path) == commit
    files[0].write_text("second\n")
    assert git_commit(tmp_path) == f"{commit}+"


def test_outside_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path) == "unknown"


def state_of(step):
    keys = ("method", "optimizer", "schedule", "scaler", "rng", "config", "seconds", "bad_samples")
    return {"progress": {"step": step}, "best": 0.0, **{key: {} for key in keys}}


def test_the_state_before_is_kept_and_a_sound_newest_one_stays_where_it_is(tmp_path):
    for step in range(3):
        save_state(state_of(step), tmp_path)
    set_aside_damaged(tmp_path, tmp_path / "last.pt")
    steps = {p.name: torch.load(p, weights_only=True)["progress"]["step"] for p in tmp_path.iterdir()}
    assert steps == {"last.pt": 2, "previous.pt": 1}


def test_a_damaged_newest_state_gives_way_to_the_one_before_with_a_warning_and_never_takes_its_place(tmp_path):
    for step in range(2):
        save_state(state_of(step), tmp_path)
    last, warnings = tmp_path / "last.pt", []
    damaged = last.read_bytes()[:-100]
    for next_step in (2, 3):
        last.write_bytes(damaged)
        path, state = load_state(tmp_path, report=warnings.append)
        assert (path.name, state["progress"]["step"]) == ("previous.pt", 0)
        assert warnings.pop().startswith(f"warning: {last} is damaged")
        assert warnings == []
        set_aside_damaged(tmp_path, path)
        assert (tmp_path / "damaged.pt").read_bytes() == damaged
        save_state(state_of(next_step), tmp_path)
    last.write_bytes(damaged)
    (tmp_path / "previous.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"last\.pt is damaged(.|\n)*previous\.pt is empty"):
        load_state(tmp_path, report=warnings.append)


def test_a_missing_newest_state_is_no_fault_where_there_is_one_before(tmp_path):
    save_state(state_of(0), tmp_path)
    (tmp_path / "last.pt").rename(tmp_path / "previous.pt")
    assert has_state(tmp_path)
    assert load_state(tmp_path, report=pytest.fail)[0].name == "previous.pt"
