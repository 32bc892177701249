"""Atomic files and resumable states."""

import pytest
import torch

from utils import checkpoint


def test_a_failed_write_keeps_the_previous_file(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save_atomically({"a": 1}, path)
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        checkpoint.save_atomically({"a": lambda: None}, path)  # a local function cannot be written
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_nothing_to_resume_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="last.pt"):
        checkpoint.load_state(tmp_path)


def test_a_file_of_another_kind_is_no_state(tmp_path):
    torch.save({"method": {}}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="no config, next_epoch, optimizer, schedule"):
        checkpoint.load_state(tmp_path)


def test_generators_go_on_where_they_were():
    state = checkpoint.rng_state()
    first = torch.rand(3)
    checkpoint.restore_rng(state)
    assert torch.equal(torch.rand(3), first)
