"""A run that --overwrite replaces is whole, or gone with the new one in its place, whenever that is killed or fails."""

import os
from contextlib import ExitStack
from itertools import count
from unittest.mock import patch

import pytest

from tests.support.run_folders import files_of
from utils.run.folder import RunSettings, open_run
from utils.run.replaced import discard, put_back, set_aside
from utils.settings import Record

IN_FOLDERS = ("models/best_model.pth", "features/a.npy")
NAMES = ("config.json", "last.pt", "previous.pt", "metrics.jsonl", "results.json", *IN_FOLDERS)


class Killed(BaseException):
    pass


def killed_in(action, at):
    """End `action` before its change number `at` to the file system; return whether it got there."""
    number = count()

    def dying(change):
        def changed(*args, **options):
            if next(number) == at:
                raise Killed
            return change(*args, **options)

        return changed

    with ExitStack() as stack:
        for name in ("mkdir", "replace", "unlink", "rmdir"):
            stack.enter_context(patch.object(os, name, dying(getattr(os, name))))
        try:
            action()
        except Killed:
            return True
    return False


def write(folder, what, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'{{"flags": {{"seed": "{what}"}}, "sessions": []}}\n')


def kept(folder):
    return {name: data for name, data in files_of(folder).items() if name != "run.log"}


def start(folder, seed, **how):
    settings = RunSettings(exp_name=folder.name, output_dir=str(folder.parent), **how)
    return open_run(settings, Record({"seed": seed}, frozenset()))


def fail(folder, error, *names):
    """Begin a run in place of another, write files, and end by an error that holds the names of what was there."""
    with start(folder, "new", overwrite=True):
        began = sorted(kept(folder))
        write(folder, "new", *names)
        raise error(began)


def write_old(folder):
    write(folder, "old", *NAMES)
    return kept(folder)


def write_new(folder, *more):
    set_aside(folder)
    write(folder, "new", "config.json", "metrics.jsonl", "models/best_model.pth", "models/other.pth", *more)


@pytest.mark.parametrize("step", ["set aside", "put back"])
def test_a_run_is_whole_after_a_kill_at_any_moment_before_the_first_state_of_the_new_one(tmp_path, step):
    for at in count():
        before = write_old(folder := tmp_path / str(at))
        if step == "put back":
            write_new(folder)
        is_killed = killed_in(lambda: (set_aside if step == "set aside" else put_back)(folder), at)
        with pytest.raises(ValueError, match="already holds a run"), start(folder, "old"):
            pass
        assert kept(folder) == before
        if not is_killed:
            break
    assert at > len(NAMES)


def test_the_new_run_is_whole_after_a_kill_at_any_moment_from_its_first_state_on(tmp_path):
    for at in count():
        write_old(folder := tmp_path / str(at))
        write_new(folder, "last.pt")
        new = {name: data for name, data in kept(folder).items() if not name.startswith(".replaced")}
        is_killed = killed_in(lambda: discard(folder), at)
        with pytest.raises(ValueError, match="already holds a run"), start(folder, "new"):
            pass
        assert kept(folder) == new
        if not is_killed:
            break
    assert at > len(NAMES)


def test_a_new_run_that_was_killed_before_its_first_state_begins_when_resumed_and_replaces_the_other_then(tmp_path):
    write_old(folder := tmp_path / "run")
    write_new(folder)
    with start(folder, "new", resume=True):
        assert not (folder / "last.pt").exists()
        write(folder, "new", "last.pt")
    assert b"old" not in b"".join(kept(folder).values())
    assert not list(folder.glob(".replaced*"))


def test_overwriting_after_a_kill_replaces_the_run_before_it(tmp_path):
    before = write_old(folder := tmp_path / "run")
    write_new(folder)
    with pytest.raises(ZeroDivisionError) as caught:
        fail(folder, ZeroDivisionError)
    aside = [f".replaced/{name}" for name in before]
    assert caught.value.args[0] == sorted([*aside, "config.json", "metrics.jsonl"])
    assert kept(folder) == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_before_the_first_state_brings_the_run_before_back_and_keeps_what_explains_it(tmp_path, error, capsys):
    before = write_old(folder := tmp_path / "run")
    with pytest.raises(error, match="config.json"):
        fail(folder, error, "nonfinite.pt", "models/other.pth")
    after = kept(folder)
    assert b"new" in after.pop("nonfinite.pt")
    assert after == before
    assert f"{folder} holds the run before again" in capsys.readouterr().out


def test_a_full_disk_before_the_training_begins_brings_the_run_before_back(tmp_path):
    before = write_old(folder := tmp_path / "run")
    with (
        patch("utils.run.folder._write_config", side_effect=OSError("no room")),
        pytest.raises(OSError, match="no room"),
        start(folder, "new", overwrite=True),
    ):
        pass
    assert kept(folder) == before


def test_an_error_after_the_first_state_keeps_the_new_run(tmp_path):
    write_old(folder := tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        fail(folder, ZeroDivisionError, "last.pt")
    assert sorted(kept(folder)) == ["config.json", "last.pt", "metrics.jsonl"]
    assert b"new" in kept(folder)["config.json"]
