"""data/download_data.sh with a stand-in for curl, so without a network."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from data import check_data, unpack
from tests.support.program_calls import run
from tests.support.tiny_trees import write_modelnet40, write_scanobjectnn

REPO = Path(__file__).resolve().parents[2]
LINKS = {"modelnet40": "15lmtRaHvVIPLOp_o7rms8e6VQp_en8WF", "scanobjectnn": "1r3nJ6gEu6cL59h7cIfMrBeY5p1P_JiIV"}

# Serves the file links/<id>, appending what the output lacks as curl's --continue-at does; fails where there is none.
CURL = """#!/usr/bin/env bash
here=$(dirname "$0")
echo "$*" >>"$here/calls"
while [ $# -gt 1 ]; do
  [ "$1" != --output ] || output=$2
  shift
done
id=${1#*id=}
id=${id%%&*}
if [ ! -e "$here/links/$id" ]; then
  printf '\\x1f\\x8bpart' >>"$output"
  exit 56
fi
have=$(cat "$output" 2>/dev/null | wc -c)
tail -c +$((have + 1)) "$here/links/$id" >>"$output"
"""

# Notes its arguments; unpacks any archive and notes its origin as data.unpack does, and finds all data sound.
PYTHON = """#!/usr/bin/env bash
printf '%s\\t' "$@" >>"$0.calls"
echo >>"$0.calls"
if [ "$2" = data.unpack ]; then
  tar -xzf "$3" -C "$5"
  echo "digest  $(basename "$3")" >"$5/$(tar -tzf "$3" | sed 's|/.*||;q')/.unpacked_from"
fi
"""


@pytest.fixture
def links(tmp_path):
    """Folder whose files the stand-in serves, by id."""
    (tmp_path / "bin" / "links").mkdir(parents=True)
    for name, program in (("curl", CURL), ("python", PYTHON)):
        (tmp_path / "bin" / name).write_text(program)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path / "bin" / "links"


def download(tmp_path, *names, status=0):
    """Fetch data sets to tmp_path / "out"; return what the script wrote."""
    env = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    env["PYTHON"] = str(tmp_path / "bin" / "python")
    command = ["bash", str(REPO / "data" / "download_data.sh"), "--out", "out", *names]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stderr
    return done


def pack(path, folder):
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)


def test_an_archive_is_fetched_unpacked_removed_and_its_data_checked(tmp_path, links):
    archive, out = links / LINKS["modelnet40"], tmp_path / "out"
    pack(archive, write_modelnet40(tmp_path / "tree"))
    download(tmp_path, "modelnet40")
    (folder,) = out.iterdir()
    assert folder.name == "modelnet40_ply_hdf5_2048"
    unpacking, checking = (line.split("\t")[:-1] for line in (tmp_path / "bin/python.calls").read_text().splitlines())
    assert (unpacking[:2], checking[:2]) == (["-m", "data.unpack"], ["-m", "data.check_data"])
    stood_in = (folder / unpack.ORIGIN).read_text()  # the programs themselves understand the commands and do the same
    shutil.rmtree(folder)
    shutil.copy(archive, unpacking[2])
    run(unpack, *unpacking[2:])
    assert (folder / unpack.ORIGIN).read_text().split()[1:] == stood_in.split()[1:] == ["modelnet40.tar.gz"]
    assert run(check_data, *checking[2:], "--workers", 1) == 0


def test_a_broken_transfer_keeps_its_part_and_the_next_run_continues(tmp_path, links):
    broken = download(tmp_path, "modelnet40", status=1)
    assert "kept 6 bytes in" in broken.stderr
    assert "error: the download of modelnet40 broke off (curl status 56)" in broken.stderr
    assert "python -m data.unpack FILE --out" in broken.stderr
    pack(links / LINKS["modelnet40"], write_modelnet40(tmp_path / "tree"))
    (tmp_path / "out" / "modelnet40.tar.gz.part").write_bytes((links / LINKS["modelnet40"]).read_bytes()[:1000])
    download(tmp_path, "modelnet40")
    assert "--continue-at -" in (tmp_path / "bin" / "calls").read_text()


def test_a_quota_page_is_reported_and_does_not_stay_as_a_part(tmp_path, links):
    (links / LINKS["modelnet40"]).write_text("<!DOCTYPE html><html>Quota exceeded</html>")
    done = download(tmp_path, "modelnet40", status=1)
    assert "Google Drive sent no archive for modelnet40" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_where_a_link_holds_another_set_both_are_found(tmp_path, links):
    pack(links / LINKS["modelnet40"], write_scanobjectnn(tmp_path / "tree"))
    pack(links / LINKS["scanobjectnn"], write_modelnet40(tmp_path / "tree"))
    download(tmp_path, "scanobjectnn", "modelnet40")
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"ScanObjectNN", "modelnet40_ply_hdf5_2048"}
    assert len((tmp_path / "bin" / "calls").read_text().splitlines()) == 2


def test_data_that_is_in_place_is_not_fetched_again(tmp_path, links):
    write_modelnet40(tmp_path / "out")
    done = download(tmp_path, "modelnet40")
    assert "modelnet40_ply_hdf5_2048 is there already, nothing to fetch" in done.stdout
    assert not (tmp_path / "bin" / "calls").exists()


def test_an_unknown_name_lists_the_known_ones(tmp_path, links):
    done = download(tmp_path, "modelnet", status=2)
    assert "unknown data set 'modelnet'; known: all shapenet shapenet_render" in done.stderr
