"""Labels of shapes: who decides, what a person corrects, and the folder that keeps every round."""

import numpy as np
import pytest

from utils.texts.label_folder import LabelFolder
from utils.texts.shape_labels import label_rows, read_corrections, write_labels

NAMES = ["chair", "table", "floor lamp"]
FILES = ["a.obj", "b.obj", "c.obj", "d.obj"]
POINTS = np.array([[2.0, 1, 0], [2, 0, 1], [0, 1, 2], [3, 0, 2]])
VIEWS = np.array([[3.0, 1, 0], [0, 1, 4], [3, 1, 0], [0, 3, 2]])
LOGITS = {"points": POINTS, "views": VIEWS, "both": (POINTS + VIEWS) / 2}


def test_the_class_is_that_of_both_together_and_it_is_said_who_gives_it_alone():
    rows = label_rows(FILES, LOGITS, NAMES, {})
    assert [row.name for row in rows] == ["chair", "floor lamp", "chair", "floor lamp"]
    assert [row.decided_by for row in rows] == ["both", "images", "images", "neither"]
    powers = np.exp(LOGITS["both"][0])
    assert rows[0].confidence == pytest.approx(powers[0] / powers.sum())
    assert (rows[0].second, rows[0].second_confidence) == ("table", pytest.approx(powers[1] / powers.sum()))


def test_what_a_person_says_is_fixed_and_the_own_answer_becomes_the_second():
    row = label_rows(FILES, LOGITS, NAMES, {"b.obj": 1})[1]
    assert row[:4] == ("b.obj", "table", 1.0, "floor lamp")
    assert row[5:] == ("person", "table")


@pytest.fixture
def written(tmp_path):
    """Corrections in a file that also has the other columns, as the program writes it."""

    def write(**corrections):
        rows = label_rows(FILES, LOGITS, NAMES, {})
        write_labels(tmp_path / "l.csv", [row._replace(correct=corrections.get(row.file[0], "")) for row in rows])
        return tmp_path / "l.csv"

    return write


def test_corrections_are_read_by_file_in_words(written):
    assert read_corrections(written(a="table ", c="floor_lamp"), FILES, NAMES) == {"a.obj": 1, "c.obj": 2}


@pytest.mark.parametrize(
    "text, message",
    [
        ("file,correct\na.obj,chiar\n", r"record 2: 'a.obj' is corrected to 'chiar', which is no class.*floor lamp"),
        ("file,correct\nz.obj,chair\n", r"'z.obj' is no mesh of this folder; expected names such as 'a.obj'"),
        ("correct,file\nchair,a.obj\ntable,a.obj\n", r"record 3: 'a.obj' is corrected twice, to 'chair' and 'table'"),
        ("file;correct\na.obj;chair\n", r"has the columns \['file;correct'\], expected file, correct"),
    ],
)
def test_corrections_that_cannot_be_meant_are_refused_by_their_place(tmp_path, text, message):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_corrections(tmp_path / "c.csv", FILES, NAMES)


def test_every_round_keeps_the_results_of_the_one_before(tmp_path):
    place = LabelFolder(tmp_path)
    assert (place.round, place.keep_earlier()) == (1, None)
    for number in (1, 2, 3):
        assert place.round == number
        place.keep_earlier()
        for name in ("labels.csv", "labels.html"):
            (tmp_path / name).write_text(f"round {number}")
    found = sorted((tmp_path / "rounds").rglob("labels.*"))
    assert [(path.parent.name, path.name, path.read_text()) for path in found] == [
        (number, name, f"round {number}") for number in "12" for name in ("labels.csv", "labels.html")
    ]
