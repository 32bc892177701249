"""What resuming does to the folder of a run."""

import pytest

from utils.run.folder import open_run


@pytest.mark.parametrize("name", [".last.pt.a1b2", ".previous.pt.link", ".config.json.a1", ".results.json.a1"])
def test_what_a_kill_left_unfinished_is_removed_by_the_next_start(tmp_path, name):
    open_run(tmp_path, {"seed": 1}, resume=False)
    (tmp_path / name).write_bytes(b"half")
    (tmp_path / "models" / ".best_model.pth.a1b2").write_bytes(b"half")
    open_run(tmp_path, {"seed": 1}, resume=True)
    assert sorted(path.name for path in tmp_path.rglob(".*")) == []
    assert (tmp_path / "config.json").is_file()
