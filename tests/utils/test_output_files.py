"""What flags name for output replaces nothing but what such a program wrote."""

import json

import pytest

from data import get_furniture, merge, render_views
from scripts import label_shapes
from tests.support.program_calls import message_of
from tests.support.tiny_trees import write_shapenet
from utils.evaluation.json_report import write_report
from utils.output_files import check_png_path, check_report_path, refuse_inputs


@pytest.mark.parametrize("content", [b"PK\x03\x04\xff weights", b'{"config": {}}', b"[1, 2]", b"results"])
def test_a_report_replaces_no_other_file(tmp_path, content):
    path = tmp_path / "mine.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"--json .*mine\.json would replace a file that is no report"):
        check_report_path(path)
    assert path.read_bytes() == content


def test_a_report_replaces_a_report_and_gets_its_folder(tmp_path):
    scores, speed = tmp_path / "new" / "scores.json", tmp_path / "speed.json"
    check_report_path(scores)
    assert scores.parent.is_dir()
    write_report(scores, [])
    speed.write_text(json.dumps({"figures": []}))
    empty = tmp_path / "of_mktemp"
    empty.touch()
    for path in (scores, speed, empty, None, ""):
        check_report_path(path)


@pytest.mark.parametrize("program", [render_views, merge, label_shapes, get_furniture])
def test_a_file_given_as_the_folder_of_output_is_called_one(program, tmp_path, capsys):
    write_shapenet(tmp_path / "tree", ["02/a", "02/b"], num_views=1)
    (tmp_path / "file").touch()
    words = ["--deb", tmp_path / "none.deb"] if program is get_furniture else [tmp_path / "tree"]
    words += ["--towers", "t.pth", "--classes", "a,b"] if program is label_shapes else []
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        message = message_of(capsys, program, *words, "--out", out)
        assert f"--out {out}: {tmp_path / 'file'} is a file, a folder is expected; pass another --out" in message


def test_a_folder_is_refused(tmp_path):
    for check, example in ((check_report_path, "results.json"), (check_png_path, "picture.png")):
        with pytest.raises(ValueError, match=f"is a folder; name a file in it, such as {tmp_path / example}"):
            check(tmp_path)


def test_no_input_is_written_over(tmp_path):
    query, view = tmp_path / "q.png", tmp_path / "shapes" / "0.png"
    view.parent.mkdir()
    for path in (query, view):
        path.write_bytes(b"mine")
    inputs = [view, str(query), tmp_path / "not_there.png"]
    for out in (query, view, tmp_path / "shapes" / ".." / "q.png"):
        with pytest.raises(ValueError, match="is an input itself"):
            refuse_inputs(out, inputs)
    (tmp_path / "earlier.png").write_bytes(b"an answer")
    for out in (None, tmp_path / "new.png", tmp_path / "not_there.png", tmp_path / "earlier.png"):
        refuse_inputs(out, inputs)
