"""A short version of `python -m tests.stress.fuzz`, and what it counts as a breach."""

import faulthandler
import multiprocessing
import os
import signal
import zlib

import numpy as np
import pytest

from data.rendering.isolated_workers import run_isolated
from tests.stress.fuzz import fuzz, main, parse_args
from tests.stress.fuzz_formats import Format
from tests.stress.fuzz_worker import Job, read_limited
from tests.stress.mutations import MUTATIONS, mutate, mutate_png


@pytest.fixture(autouse=True)
def _forked(monkeypatch):
    """Fork the reading processes from this one, which saves their imports."""
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)


def test_damaged_checkpoints_and_inputs_are_refused_by_name_or_read_as_what_they_are(capsys):
    assert main(parse_args(["--seed", "5", "--checkpoints", "14", "--inputs", "26"])) == 0
    text = capsys.readouterr().out
    assert text.endswith("40 damaged files, 0 breaches\n")
    assert "BREACH" not in text


def ends_in_a_crash(path):
    faulthandler.disable()  # pytest's would print where
    os.abort()


def never_ends(path):
    while True:
        pass


def takes_all_memory(path):
    return str(np.ones(2**29).sum())


def raises_something_else(path):
    return {}[path.name]


def does_not_name_the_file(path):
    raise ValueError("damaged")


def notices_nothing(path):
    return str(zlib.crc32(path.read_bytes()))


BREACHES = {
    ends_in_a_crash: f"the process died of it (exit code -{signal.SIGABRT})",
    never_ends: f"the process died of it (exit code -{signal.SIGPROF})",
    takes_all_memory: "MemoryError",
    raises_something_else: "KeyError",
    does_not_name_the_file: "the message does not name the file",
}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)))
    return tmp_path / "a.bin"


def test_what_a_reader_must_not_do_is_seen(path):
    jobs = [Job(Format(read, "a.bin", is_sealed=True), path, cpu_limit_s=1) for read in BREACHES]
    for job, outcome, death in run_isolated(read_limited, jobs, num_workers=1):
        assert BREACHES[job.kind.read] in (death or outcome.breach)


@pytest.mark.parametrize("is_sealed, result", [(True, "breach"), (False, "changed")])
def test_another_content_is_a_breach_where_the_format_has_checksums(path, is_sealed, result):
    formats = {"a": Format(notices_nothing, "a.bin", is_sealed)}
    results = {trial.result for trial in fuzz(formats, {"a": [path]}, 12, seed=1)}
    assert result in results
    assert results <= {result, "same"}


@pytest.mark.parametrize("name", list(MUTATIONS))
def test_every_kind_of_damage_is_drawn_from_its_generator_alone(name):
    content = bytes(range(1, 256)) * 9
    damaged = [bytes(MUTATIONS[name](bytearray(content), np.random.default_rng(seed))) for seed in (3, 3, 4, 5, 6)]
    assert damaged[0] == damaged[1]
    assert any(one != content for one in damaged)


def test_damage_of_files_of_any_size_is_possible():
    for content in (b"a", b"ab", bytes(100)):
        for seed in range(200):
            mutate(content, np.random.default_rng(seed))
            mutate_png(content, np.random.default_rng(seed))
