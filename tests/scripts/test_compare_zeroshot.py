"""`python -m scripts.compare_zeroshot`: a table of reports, and the same pictures for each."""

import json

import pytest
from PIL import Image

from scripts import compare_zeroshot
from tests.support.alignment_runs import SHAPES
from tests.support.program_calls import message_of, run
from tests.support.tiny_trees import write_shapenet
from utils.figures.contact_sheet import contact_sheet

NAMES = ["airplane", "mug", "table"]


@pytest.fixture
def root(tmp_path):
    return write_shapenet(tmp_path / "tree", SHAPES, num_views=2, size=16)


def write_report(path, right, count=9):
    """Write a report in which the first `right` shapes are named correctly from points, and one more from images."""
    records = []
    for protocol in compare_zeroshot.PROTOCOLS:
        known = right + (protocol != "points")
        predicted = [(i // 3 + (i >= known)) % 3 for i in range(count)]
        record = {"protocol": protocol, "accuracy": known / count, "predicted": predicted}
        records.append(record | {"class_names": NAMES, "num_points": 48})
    path.write_text(json.dumps({"results": records}))
    return path


def test_a_table_has_a_row_and_the_sheet_a_row_of_pictures_for_each_report(root, tmp_path, monkeypatch, capsys):
    reports = [write_report(tmp_path / f"{name}.json", right) for name, right in (("zero-shot", 3), ("joint", 6))]
    drawn = []
    monkeypatch.setattr(compare_zeroshot, "contact_sheet", lambda rows: drawn.append(rows) or contact_sheet(rows))
    flags = ("--data_root", root, "--table", tmp_path / "t.md", "--out", tmp_path / "p.png", "--shapes", 3)
    run(compare_zeroshot, *reports, *flags)
    assert "| zero-shot | 33.3 | 44.4 | 44.4 | 44.4 |" in capsys.readouterr().out
    assert (tmp_path / "t.md").read_text().splitlines()[3] == "| joint | 66.7 | 77.8 | 77.8 | 77.8 |"
    ((before, after),) = drawn
    assert [cell.title for cell in before] == [
        "zero-shot\npoints airplane\nimages airplane", "points table\nimages table", "points airplane\nimages airplane",
    ]  # fmt: skip
    right = compare_zeroshot.RIGHT
    assert [[cell.frame == right for cell in row] for row in (before, after)] == [
        [True, False, False], [True, True, False],
    ]  # fmt: skip
    with Image.open(tmp_path / "p.png") as picture:
        assert min(picture.size) > 300
    run(compare_zeroshot, *reports, *flags, "--draw", "joint")
    assert [[cell.title for cell in row] for row in drawn[1]] == [[cell.title for cell in after]]
    assert "--draw none: no such report" in message_of(capsys, compare_zeroshot, *reports, *flags, "--draw", "none")


def test_reports_of_something_else_are_refused_by_name(root, tmp_path, capsys):
    flags = ("--data_root", root, "--out", tmp_path / "p.png")
    other = write_report(tmp_path / "other.json", 3, count=6)
    assert "other is of 6 shapes" in message_of(capsys, compare_zeroshot, other, *flags)
    (tmp_path / "svm.json").write_text('{"results": [{"protocol": "fair"}]}')
    assert "svm.json is no report" in message_of(capsys, compare_zeroshot, tmp_path / "svm.json", *flags)
