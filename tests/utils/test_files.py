import numpy as np
import pytest

from utils.files import write_npz


def test_arrays_come_back_without_pickle(tmp_path):
    write_npz(tmp_path / "new" / "a.npz", label=np.arange(3), class_names=np.array(["cone", "cube"]))
    with np.load(tmp_path / "new" / "a.npz", allow_pickle=False) as kept:
        assert {name: kept[name].tolist() for name in kept} == {"label": [0, 1, 2], "class_names": ["cone", "cube"]}


def test_python_objects_are_refused_by_name_and_the_file_before_stays(tmp_path):
    write_npz(tmp_path / "a.npz", label=np.arange(3))
    with pytest.raises(ValueError, match=r"a\.npz: names would be Python objects"):
        write_npz(tmp_path / "a.npz", names=np.array(["a", None], dtype=object))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz"]
    with np.load(tmp_path / "a.npz") as kept:
        assert kept["label"].tolist() == [0, 1, 2]
