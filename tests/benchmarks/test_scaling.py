import json

import pytest

from benchmarks import scaling
from tests.support.program_calls import recorded, run
from tests.support.several_processes import run_in_processes

TINY = "--batch 4 --points 32 --k 4 --image_size 32 --steps 1 --rounds 1".split()


@pytest.fixture
def forked(monkeypatch, tmp_path):
    """Fork the ranks of a form from a server that has imported everything; each gets the command's flags."""

    def run_form(form, args):
        out = tmp_path / f"{form.processes}.json"
        words = scaling.command(form, args, out)
        assert ("torch.distributed.run" in words) == (form.processes > 1)
        own = scaling.parse_args(words[words.index("benchmarks.scaling") + 1 :])
        run_in_processes(scaling.measure_alone, form.processes, tmp_path, own, has_group=False)
        return json.loads(out.read_text())

    monkeypatch.setattr(scaling, "run_form", run_form)


def test_two_processes_are_measured_beside_one_on_the_same_batch(forked, tmp_path, capsys, monkeypatch):
    base = {"1x1": scaling.BASES["1x1"]}
    monkeypatch.setattr(scaling, "SIDES", base | {"2x1": scaling.SIDES["2x1"]})
    monkeypatch.setattr(scaling, "BASES", base)
    rows = recorded(tmp_path, scaling, *TINY)
    figures = [f"{row['side']} {row['figure']}" for row in rows]
    assert figures == ["1x1 throughput", "2x1 throughput", "2x1 in collectives"]
    assert 0 < float(rows[2]["value"]) < 100
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.rsplit(" ", 1)[1]) for line in lines[:2]]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_efficiency_is_relative_to_the_cores_of_each_side():
    args = scaling.parse_args([])
    seconds = {"1x1": (9.0, 8.0, 8.0), "1x2": (5.0, 5.0, 4.0), "2x1": (5.0, 5.0, 5.0)}
    rounds = {name: [{"seconds": s, "collectives": s / 4} for s in times] for name, times in seconds.items()}
    figures, lines = scaling.summary(args, rounds)
    assert [figure.value for figure in figures] == [48 / 8, 48 / 5, 48 / 5, 25]
    assert lines == ["2x1 over 1x1: 1.60x, efficiency 80%", "2x1 over 1x2: 1.00x, efficiency 100%"]


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="--batch_size 5 is not divisible by 2 ranks"):
        run(scaling, *TINY, "--batch", 5)
