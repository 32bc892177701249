"""What resuming does to the folder of a run."""

import pytest

from utils.run.folder import RunSettings, open_run
from utils.settings import Record


def start(tmp_path, *, resume):
    settings = RunSettings(exp_name=tmp_path.name, output_dir=str(tmp_path.parent), resume=resume)
    with open_run(settings, Record({"seed": 1}, frozenset())):
        pass


@pytest.mark.parametrize("name", [".last.pt.a1b2", ".previous.pt.link", ".config.json.a1", ".results.json.a1"])
def test_what_a_kill_left_unfinished_is_removed_by_the_next_start(tmp_path, name):
    start(tmp_path, resume=False)
    (tmp_path / name).write_bytes(b"half")
    (tmp_path / "models" / ".best_model.pth.a1b2").write_bytes(b"half")
    start(tmp_path, resume=True)
    assert sorted(path.name for path in tmp_path.rglob(".*")) == []
    assert (tmp_path / "config.json").is_file()
