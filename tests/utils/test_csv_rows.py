import pytest

from utils.csv_rows import read_rows, write_rows

COLUMNS = ("name", "command")


def test_rows_come_back_as_text_whatever_they_hold(tmp_path):
    rows = [{"name": "a", "command": 'x "y", z\nsecond line'}, {"name": "", "command": "é"}]
    write_rows(tmp_path / "r.csv", COLUMNS, rows)
    assert read_rows(tmp_path / "r.csv", COLUMNS) == rows


@pytest.mark.parametrize("text", ["", "name\na\n", "command,name\na,b\n"])
def test_other_columns_are_refused_by_name(tmp_path, text):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(ValueError, match=r"r\.csv has the columns .*expected name, command"):
        read_rows(tmp_path / "r.csv", COLUMNS)


@pytest.mark.parametrize("line", ["a", "a,b,c"])
def test_a_row_of_another_length_is_refused_by_its_number(tmp_path, line):
    (tmp_path / "r.csv").write_text(f"name,command\na,b\n{line}\n")
    with pytest.raises(ValueError, match=r"r\.csv record 3: expected 2 values"):
        read_rows(tmp_path / "r.csv", COLUMNS)


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path):
    (tmp_path / "r.csv").write_bytes(b"name,command\n\xff,b\n")
    with pytest.raises(ValueError, match=r"r\.csv"):
        read_rows(tmp_path / "r.csv", COLUMNS)
