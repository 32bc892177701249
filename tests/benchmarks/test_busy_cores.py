"""benchmarks.machine.busy_cores: what is set for each side, the load beside it, and a step of either network."""

import os
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from benchmarks.machine import busy_cores
from tests.support.program_calls import recorded, run


def test_both_sides_are_measured_on_idle_and_on_busy_cores(tmp_path):
    calls, load = [], [0]

    @contextmanager
    def busy(count):
        load.append(count)
        yield
        load.pop()

    def measure(model, steps, spin):
        calls.append((model, steps, spin, load[-1]))
        return 0.2 if spin else 0.4

    with patch.multiple(busy_cores, measure=measure, busy=busy):
        rows = recorded(tmp_path, busy_cores, "--models", "dgcnn", "--rounds", 2, "--spin", 77)
    count = os.cpu_count()
    both = [("dgcnn", 5, None), ("dgcnn", 5, "77")]
    assert calls == [(*call, others) for others in (0, count) for call in both * 2]
    assert [(row["setting"], row["side"], row["value"]) for row in rows] == [
        (f"model=dgcnn spin=77 busy={others}", side, value)
        for others in (0, count)
        for side, value in (("default", "400"), ("bounded", "200"))
    ]


def test_other_processes_compute_until_the_end_of_the_block():
    started, start = [], busy_cores.subprocess.Popen

    def note(command):
        started.append(start(command))
        return started[-1]

    with patch.object(busy_cores.subprocess, "Popen", note), busy_cores.busy(2):
        assert [other.poll() for other in started] == [None, None]
    assert [other.poll() for other in started] == [-9, -9]


def test_a_side_gets_its_variable_and_a_failure_its_message():
    with patch.dict(os.environ, {"GOMP_SPINCOUNT": "5", "OMP_WAIT_POLICY": "passive"}):
        for spin, wanted in ((None, None), ("77", "77")):
            with patch.object(busy_cores.subprocess, "run") as started:
                started.return_value.returncode, started.return_value.stdout = 0, "0.5\n"
                assert busy_cores.measure("dgcnn", 1, spin) == 0.5
            environment = started.call_args.kwargs["env"]
            assert (environment.get("GOMP_SPINCOUNT"), environment.get("OMP_WAIT_POLICY")) == (wanted, None)
    with pytest.raises(OSError, match=r"(?s)benchmarks.machine.busy_cores .* failed: .*invalid choice: 'other'"):
        busy_cores.measure("other", 1, None)


@pytest.mark.parametrize("model", ["dgcnn", "sr_unet"])
def test_a_step_of_either_network_is_timed(model, capsys):
    run(busy_cores, "--models", model, "--steps", 1, "--alone")
    assert float(capsys.readouterr().out) > 0
