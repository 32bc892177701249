"""Folders and URLs of shards: what is read, and what is refused before any program starts."""

import gc
import os
import shutil
import signal
from contextlib import closing
from pathlib import Path

import pytest

from datasets.shards import shard_source
from datasets.shards.shard_index import Shard
from datasets.shards.shard_source import ShardSource
from tests.support.file_server import needs_curl, serving
from tests.support.tiny_shards import make_shards, make_tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("shards")
    return make_shards(make_tree(base / "tree", 5), base / "s")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(shard_source, "WAITS_S", (0.01, 0.01))


HOSTILE = [
    "pipe:touch {marker}", "pipe:touch {marker} #/index.json", "http://host/a;touch {marker}",
    "http://host/$(touch {marker})", "http://host/`touch {marker}`", "http://host/a|touch {marker}",
    "http://host/a&touch {marker}", "http://host/a b", "http://host/a'b", 'http://host/a"b', "http://host/a\nb",
    "http://host/a\n", "http://host/a>{marker}", "http://host/a?x=1", "http://host/{{1,2}}", "http://host/[1-2]",
    "http://host/../a", "http://host/a/./b", "http://-oProxyCommand/a", "http://a@host/", "http:/host/a", "http:host",
    "s3://bucket/a;touch {marker}", "s3://--profile/a", "gs://bucket/*", "gs://bucket/a\\b", "file:///etc",
    "FILE:/etc", "ais://b/a", "hf://b/a", "scp://host/a", "htgs://b/a", "c:", "PIPE:touch {marker}", "HTTP://host/a",
    "https://höst/a",
]  # fmt: skip


@pytest.mark.parametrize("location", HOSTILE)
def test_a_hostile_url_is_refused_before_anything_runs(location, tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    location = location.format(marker=tmp_path / "marker")
    with pytest.raises(ValueError, match="is no plain URL|shards are read from a folder") as error:
        ShardSource(location)
    assert repr(location) in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.tar;x", "../a.tar", "$(x).tar", "a b.tar", "a.tar\n"])
def test_a_hostile_name_is_refused_before_anything_runs(name, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(ValueError, match="is no plain URL"):
        ShardSource("http://localhost:1/s").open_shard(Shard(name, 1, 1, ""))


@pytest.mark.parametrize("name", ["a;touch x", "$(touch x)", "a b", "-", "--version"])
def test_a_folder_may_have_any_name(folder, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, name)
    assert ShardSource(name).load_index().shapes == 5
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_without_index_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no {tmp_path}/index.json; write shards with python -m data.shard"):
        ShardSource(tmp_path).load_index()


def test_a_shard_of_another_length_or_kind_is_named(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "s")
    shard = ShardSource(copy).load_index().shards[0]
    path = copy / shard.name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"{path} has {shard.bytes - 1} bytes, its index says {shard.bytes}"):
        ShardSource(copy).open_shard(shard)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="is no regular file"):
        ShardSource(copy).open_file(shard.name)


@needs_curl
def test_a_url_gives_the_same_bytes(folder):
    with serving(folder) as url:
        remote, local = ShardSource(url + "/"), ShardSource(folder)
        assert remote.load_index() == local.load_index()
        for shard in local.load_index().shards:
            with remote.open_shard(shard) as a, local.open_shard(shard) as b:
                assert a.read() == b.read()


@needs_curl
def test_a_missing_file_is_named(tmp_path):
    with serving(tmp_path) as url, pytest.raises(OSError, match=f"{url}/index.json could not be read .*404.*status 22"):
        ShardSource(url).load_index()


@needs_curl
def test_a_cut_connection_is_named(folder):
    shard = ShardSource(folder).load_index().shards[0]
    with (
        serving(folder, cut=(shard.name,)) as url,
        ShardSource(url).open_shard(shard) as stream,
        pytest.raises(OSError, match=rf"{url}/{shard.name} could not be read \(the connection was cut, .*18\)"),
    ):
        stream.read()


@needs_curl
def test_a_connection_that_breaks_twice_costs_nothing_but_time(folder):
    shard = ShardSource(folder).load_index().shards[0]
    with serving(folder, shaky=(shard.name,)) as url, ShardSource(url).open_shard(shard) as stream:
        assert stream.read() == (folder / shard.name).read_bytes()


@needs_curl
def test_a_broken_connection_goes_on_where_it_was_if_the_server_has_ranges(folder):
    shard = ShardSource(folder).load_index().shards[0]
    half, starts = shard.bytes // 2, []
    with (
        serving(folder, ranged=(shard.name,), starts=starts) as url,
        ShardSource(url).open_shard(shard) as stream,
    ):
        assert stream.read() == (folder / shard.name).read_bytes()
    assert starts == [0, half, (half + shard.bytes) // 2]


@needs_curl
def test_no_server_is_named():
    with pytest.raises(OSError, match="http://127.0.0.1:9/s/index.json could not be read .*no connection"):
        ShardSource("http://127.0.0.1:9/s").load_index()


@needs_curl
def test_a_server_that_says_nothing_is_no_hang(folder, monkeypatch):
    monkeypatch.setattr(shard_source, "STALL_S", 0.3)
    timeout = pytest.raises(TimeoutError, match=r"index.json: no byte came for 0.3 s")
    with serving(folder, stalled=("index.json",)) as url, timeout:
        ShardSource(url).load_index()


@needs_curl
def test_closing_early_ends_the_program(folder):
    gc.collect()  # what tests before this one have left open
    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else set()
    shard = ShardSource(folder).load_index().shards[0]
    with serving(folder, stalled=(shard.name,)) as url:
        stream = ShardSource(url).open_shard(shard)
        program = stream.raw._pipe.proc
        assert program.poll() is None
        stream.close()
        assert program.poll() == -signal.SIGKILL  # not when the server lets go
    if before:
        assert set(os.listdir("/proc/self/fd")) == before


@needs_curl
def test_the_environment_rewrites_no_url(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GOPEN_REWRITE", f"http=pipe:touch {tmp_path / 'marker'} #")
    with serving(folder) as url:
        assert ShardSource(url).load_index().shapes == 5
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a script as a program."""

    def write(program, script):
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return write


@pytest.mark.parametrize(
    "scheme, program, words", [("s3", "aws", "s3 cp --only-show-errors {url} -"), ("gs", "gsutil", "cat {url}")]
)
def test_buckets_are_read_by_their_program(folder, tmp_path, install, scheme, program, words):
    install(program, f'echo "$@" >> {tmp_path}/words\ncat {folder}/index.json')
    assert ShardSource(f"{scheme}://bucket/some/where").load_index() == ShardSource(folder).load_index()
    url = f"{scheme}://bucket/some/where/index.json"
    assert (tmp_path / "words").read_text().strip() == words.format(url=url)


def test_a_missing_program_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="s3://bucket/s/index.json is fetched by the program aws; install it"):
        ShardSource("s3://bucket/s").load_index()


def test_a_failing_program_is_named(install):
    install("aws", "exit 1")
    stream = ShardSource("s3://bucket/s").open_file("index.json")
    with closing(stream), pytest.raises(OSError, match="exit status 1"):
        stream.read()
