import pytest
import torch

from utils.training import bad_samples
from utils.training.bad_samples import BadSamples


@pytest.fixture
def lines():
    return []


def test_every_fault_is_named_once_and_counted_each_time(lines):
    bad = BadSamples(lines.append)
    bad.note(["", "a.ply: cut", "", "b.ply: empty"], 4)
    bad.note(["a.ply: cut", "", "", ""], 4)
    assert lines == ["warning: skipped a.ply: cut", "warning: skipped b.ply: empty"]
    assert (bad.num_bad, bad.num_samples) == (3, 8)


def test_a_rate_above_the_limit_is_an_error_that_names_the_first_files(lines):
    bad = BadSamples(lines.append, max_rate=0.1, min_count=2)
    bad.note([f"{number}.ply: cut" for number in range(10)], 100)
    message = r"11 of 100 samples could not be read, more than 10\.00%; .*check_data"
    with pytest.raises(ValueError, match=message) as caught:
        bad.note(["10.ply: cut"], 0)
    assert "\n  0.ply: cut\n  1.ply: cut\n" in str(caught.value)
    assert "5.ply" not in str(caught.value)


def test_a_few_bad_samples_at_the_start_are_no_rate(lines):
    bad = BadSamples(lines.append, max_rate=0.01)
    bad.note(["x: cut"] * 10, 10)
    with pytest.raises(ValueError, match="11 of 20 samples"):
        bad.note(["x: cut"], 10)


def test_sound_steps_later_bring_the_rate_down_again(lines):
    bad = BadSamples(lines.append, max_rate=0.5, min_count=0)
    bad.note(["x: cut"], 2)
    bad.note([""] * 2, 2)
    bad.note(["x: cut"], 1)
    assert bad.num_bad == 2


def test_a_resumed_run_goes_on_counting_and_repeats_no_line(lines, tmp_path):
    before = BadSamples(lambda line: None, max_rate=0.5, min_count=0)
    before.note(["a: cut", "b: cut"], 5)
    torch.save(before.state_dict(), tmp_path / "state.pt")
    after = BadSamples(lines.append, max_rate=0.5, min_count=0)
    after.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    with pytest.raises(ValueError, match="4 of 7 samples could not be read"):
        after.note(["b: cut", "c: cut"], 2)
    assert lines == ["warning: skipped c: cut"]


def test_the_log_and_the_state_stay_small_however_many_files_are_bad(lines, monkeypatch):
    monkeypatch.setattr(bad_samples, "MAX_NAMED", 3)
    bad = BadSamples(lines.append, max_rate=1)
    bad.note([f"{number}: cut" for number in range(9)], 9)
    assert len(lines) == 4
    assert lines[-1] == "warning: 3 different samples skipped; others are counted and not named"
    assert len(bad.state_dict()["named"]) == 3
    assert bad.num_bad == 9


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ValueError, match=r"must lie in 0 \.\. 1"):
        BadSamples(print, max_rate=rate)
