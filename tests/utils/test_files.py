import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from utils.files import appears, locked, read_npz, version, write_npz, write_text


def test_arrays_come_back_all_or_those_that_are_asked_for(tmp_path):
    path = tmp_path / "new" / "a.npz"
    write_npz(path, label=np.arange(3), names=np.array(["cone", "cube"]))
    kept = {name: array.tolist() for name, array in read_npz(path).items()}
    assert kept == {"label": [0, 1, 2], "names": ["cone", "cube"]}
    assert list(read_npz(path, ["names", "c"])) == ["names"]
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        read_npz(tmp_path / "none.npz")


def test_python_objects_are_refused_by_name_and_the_file_before_stays(tmp_path):
    write_npz(tmp_path / "a.npz", label=np.arange(3))
    with pytest.raises(ValueError, match=r"a\.npz: names would be Python objects"):
        write_npz(tmp_path / "a.npz", names=np.array(["a", None], dtype=object))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz"]
    assert read_npz(tmp_path / "a.npz")["label"].tolist() == [0, 1, 2]


def test_a_flipped_bit_of_an_npz_file_is_an_error_that_names_it_or_changes_no_array(tmp_path):
    path, array = tmp_path / "a.npz", np.random.default_rng(0).random(20)
    write_npz(path, a=array)
    content = path.read_bytes()
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            path.write_bytes(bytes(damaged))
            with contextlib.suppress(ValueError):
                assert np.array_equal(read_npz(path).get("a", array), array)


@pytest.mark.parametrize("write", [lambda path: np.save(path, np.ones(3)), lambda path: path.write_bytes(b"")])
def test_other_files_are_no_npz_files(tmp_path, write):
    write(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"a\.npy is no \.npz file"):
        read_npz(tmp_path / "a.npy")


def test_blocks_under_one_lock_run_one_after_another_and_leave_no_file(tmp_path):
    path = tmp_path / "count.txt"
    path.write_text("0")

    def count(_):
        with locked(path):
            number = int(path.read_text())
            time.sleep(0.001)
            path.write_text(str(number + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(80)))
    assert path.read_text() == "80"
    with locked(path), pytest.raises(BlockingIOError), locked(path, wait=False):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_another_process_writes_is_waited_for_and_an_old_one_is_not_taken(tmp_path):
    path = tmp_path / "a"
    assert not appears(path, unlike=None, patience_s=0)
    write_text(path, "old")
    old = version(path)
    assert not appears(path, unlike=old, patience_s=0)
    writer = threading.Timer(0.1, write_text, (path, "new"))
    writer.start()
    assert appears(path, unlike=old)
    writer.join()
    assert path.read_text() == "new"
