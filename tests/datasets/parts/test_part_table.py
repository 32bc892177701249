import json

import pytest

from datasets.labels import SHAPENET_PART
from datasets.parts.part_table import category_name, count_parts, find_category, part_names, part_table, read_part_table


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def test_categories_keep_their_order_and_parts_are_numbered_through(tmp_path):
    table = read_part_table(written(tmp_path / "parts.json", {"lamp": ["base", "shade"], "chair": ["leg"], "b": ["x"]}))
    assert [(row.name, row.parts, row.part_labels) for row in table] == [
        ("lamp", ("base", "shade"), range(2)),
        ("chair", ("leg",), range(2, 3)),
        ("b", ("x",), range(3, 4)),
    ]
    assert count_parts(table) == 4


def test_names_make_the_table_again():
    assert part_table(part_names(SHAPENET_PART)) == SHAPENET_PART
    other = part_table({"lamp": ["base"], "chair": ["leg", "seat"]})
    assert part_table(part_names(other)) == other


def test_shapenet_part_has_50_parts():
    assert count_parts(SHAPENET_PART) == 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "Expecting property name"),
        (b"[]", r"expected an object of categories.*got \[\]"),
        (b"{}", "expected an object of categories"),
        ({"": ["a"]}, "a category without a name"),
        ({"chair": []}, "chair: expected a list of names of parts"),
        ({"chair": "leg"}, 'chair: expected a list of names of parts, got "leg"'),
        ({"chair": ["leg", 3]}, "chair: expected a list of names of parts"),
        ({"chair": ["leg", " "]}, "chair: expected a list of names of parts"),
        ({"chair": ["leg", "leg"]}, "chair: a part is named twice"),
        (b"\xff\xfe\x00", "'utf-8' codec can't decode"),
        (b'{"chair": ["a"], "lamp": ["b"], "chair": ["c"]}', "chair is named twice"),
    ],
)
def test_what_is_no_table_is_refused_with_its_file_and_category(tmp_path, content, message):
    path = written(tmp_path / "odd.json", content)
    with pytest.raises(ValueError, match=rf"--parts .*odd\.json: .*{message}"):
        read_part_table(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json; --parts expected an object"):
        read_part_table(tmp_path / "none.json")


def test_motor_is_motorbike_unless_a_table_has_a_motor():
    assert SHAPENET_PART[find_category(SHAPENET_PART, "motor")].name == "motorbike"
    assert category_name(part_table({"motor": ["rotor"], "motorbike": ["tank"]}), "motor") == "motor"


def test_an_unknown_category_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match=r"--class_choice sofa: .*airplane, bag, cap, .*motorbike.*table"):
        find_category(SHAPENET_PART, "sofa")
    with pytest.raises(ValueError, match="choose one of chair"):
        find_category(part_table({"chair": ["leg"]}), "motor")
