import pytest

from utils.markdown import markers, replace_section, table, update_section

BEGIN, END = markers("figures")


def test_a_table_has_a_line_for_each_row():
    lines = table(["a", "b"], [["1", "2"], ["3", "4"]]).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", "| 1 | 2 |", "| 3 | 4 |"]


def test_only_what_stands_between_the_markers_of_that_name_is_replaced():
    other = "<!-- other: begin -->\nkept\n<!-- other: end -->"
    text = f"{other}\n{BEGIN}\nold\n{END}\nafter"
    assert replace_section(text, "figures", "new") == f"{other}\n{BEGIN}\nnew\n{END}\nafter"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}"])
def test_a_file_without_one_pair_of_markers_is_refused_by_name_and_kept(tmp_path, text):
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"README\.md: expected one line"):
        update_section(path, "figures", "new")
    assert path.read_text() == text
