import json
import shutil

import pytest

from data import merge
from datasets.shapes.shape_tree import list_shapes
from tests.support.entry_programs import call, error_of
from tests.support.tiny_trees import write_shapenet


@pytest.fixture
def roots(tmp_path):
    write_shapenet(tmp_path / "one", ["02/a", "03/b"], num_views=1)
    write_shapenet(tmp_path / "two", ["02/a"], num_views=1)
    return [tmp_path / "one", tmp_path / "two"]


def test_shapes_of_all_trees_are_there_under_names_of_their_own(roots, tmp_path):
    out = tmp_path / "out"
    call(merge, *roots, "--out", out)
    assert [str(shape) for shape in list_shapes(out)] == ["one__02/a", "one__03/b", "two__02/a"]
    for shape, (root, name) in zip(list_shapes(out), ((0, "02/a"), (0, "03/b"), (1, "02/a"))):
        assert shape.cloud_path(out).read_bytes() == (roots[root] / "ShapeNet" / f"{name}.ply").read_bytes()
        assert shape.views == ("00.png",)
    shutil.rmtree(roots[0] / "ShapeNet" / "03")
    shutil.rmtree(roots[0] / "ShapeNetRendering" / "03")
    call(merge, *roots, "--out", out)
    assert [str(shape) for shape in list_shapes(out)] == ["one__02/a", "two__02/a"]


def test_a_tree_is_not_mixed_with_links_and_trees_of_one_name_are_refused(roots, tmp_path, capsys):
    assert "02 is no link of data.merge" in error_of(lambda: call(merge, roots[0], "--out", roots[1]), capsys)
    (tmp_path / "other").mkdir()
    shutil.copytree(roots[0], tmp_path / "other" / "one")
    message = error_of(lambda: call(merge, roots[0], tmp_path / "other" / "one", "--out", tmp_path / "x"), capsys)
    assert "two of the trees are called one" in message
    assert "no clouds" in error_of(lambda: call(merge, tmp_path / "other", "--out", tmp_path / "x"), capsys)
    assert not (tmp_path / "x").exists()


def test_a_file_of_anyone_else_in_place_of_the_record_is_kept(roots, tmp_path, capsys):
    own = tmp_path / "out" / "merge.json"
    own.parent.mkdir()
    own.write_text('{"my": "notes"}')
    message = error_of(lambda: call(merge, *roots, "--out", own.parent), capsys)
    assert f"{own} is damaged or no record of data.merge" in message
    assert own.read_text() == '{"my": "notes"}'


def captions_in(out):
    path = out / "captions.json"
    return json.loads(path.read_text()) if path.exists() else None


def test_captions_of_the_trees_that_have_some_are_merged(roots, tmp_path, capsys):
    out = tmp_path / "out"
    (roots[0] / "captions.json").write_text(json.dumps({"02/a": "x", "03/b": {"captions": ["Stühle"]}}))
    call(merge, *roots, "--out", out)
    assert captions_in(out) == {"one__02/a": "x", "one__03/b": {"captions": ["Stühle"]}}
    assert "captions: of 1 trees; 1 of 2 trees have none (two)" in capsys.readouterr().out
    (roots[0] / "captions.json").unlink()
    call(merge, *roots, "--out", out)
    assert captions_in(out) is None
    assert "captions: 2 of 2 trees have none (one, two)" in capsys.readouterr().out
    (roots[0] / "captions.json").write_text("[]")
    assert "one/captions.json: expected an object" in error_of(lambda: call(merge, *roots, "--out", out), capsys)


def test_captions_of_anyone_else_are_kept(roots, tmp_path, capsys):
    out = tmp_path / "out"
    (roots[0] / "captions.json").write_text('{"02/a": "x"}')
    call(merge, *roots, "--out", out)
    (out / "captions.json").write_text('{"one__02/a": "mine"}')
    call(merge, *roots, "--out", out)
    assert captions_in(out) == {"one__02/a": "mine"}
    assert f"{out / 'captions.json'} is not as data.merge writes it and is kept" in capsys.readouterr().out
