"""The whole suite starts only where its files have room."""

from collections import namedtuple
from types import SimpleNamespace

import pytest

from tests.conftest import pytest_sessionstart

Usage = namedtuple("Usage", "total used free")
SOURCE = pytest.Config.ArgsSource


@pytest.mark.parametrize(
    ("source", "worker", "free", "stops"),
    [
        (SOURCE.TESTPATHS, {}, 1.9e9, True),
        (SOURCE.TESTPATHS, {}, 2.1e9, False),
        (SOURCE.TESTPATHS, {"workerinput": {}}, 0, False),  # one of xdist's: the first process has asked
        (SOURCE.ARGS, {}, 0, False),  # some tests take little
    ],
)
def test_suite_stops_with_its_reason_on_a_full_disk(monkeypatch, source, worker, free, stops):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(1e12, 1e12 - free, free))
    session = SimpleNamespace(config=SimpleNamespace(args_source=source, **worker))
    if not stops:
        pytest_sessionstart(session)
        return
    with pytest.raises(pytest.exit.Exception, match=r"has 1\.9 GB free, .* take up to 2 GB: make room"):
        pytest_sessionstart(session)
