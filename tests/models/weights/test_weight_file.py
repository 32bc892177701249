"""Weight files: damage that torch.load itself does not notice is refused."""

import contextlib
import io
import zipfile

import pytest
import torch

from models.weights.weight_file import check_tensors, load_exactly, read_weights, unwrap
from tests.support.damage import flip
from tests.support.light_runs import same


@pytest.fixture
def path(tmp_path):
    torch.save({"a": torch.arange(1000.0), "b": torch.ones(7)}, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_a_flipped_byte_of_a_tensor_is_found_though_torch_loads_it(path):
    flip(path.read_bytes().index(torch.arange(1000.0).numpy().tobytes()) + 2000)(path)
    assert not torch.equal(torch.load(path, weights_only=True)["a"], torch.arange(1000.0))
    with pytest.raises(ValueError, match=r"weights\.pth is damaged .*CRC-32 for file .*; take another copy of it"):
        read_weights(path)


def test_a_flipped_byte_between_records_changes_nothing(path):
    padding = path.read_bytes().index(b"ZZZZ")  # the padding by which torch aligns tensors
    flip(padding + 1)(path)
    assert torch.equal(read_weights(path)["a"], torch.arange(1000.0))


def test_a_record_that_a_flipped_bit_marks_as_a_folder_is_refused_for_torch_would_not_read_it(path):
    entry = path.read_bytes().index(b"PK\x01\x02", path.read_bytes().index(b"PK\x01\x02") + 4)
    flip(entry + 38, bit=0x10)(path)
    with pytest.raises(ValueError, match=r"weights\.pth .*marked as a folder"):
        read_weights(path)


def rewrite(path, extra=(), compression=zipfile.ZIP_STORED):
    """Write the same records to a new archive, and add some."""
    with zipfile.ZipFile(path) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w", compression) as archive:
        for name, content in [*records, *extra]:
            archive.writestr(name, content)
    path.write_bytes(copy.getvalue())


def test_an_archive_of_another_writer_is_read(path):
    rewrite(path)
    assert torch.equal(read_weights(path)["b"], torch.ones(7))


def test_a_record_that_occurs_twice_is_refused(path):
    rewrite(path, extra=[("weights/DATA/0", torch.zeros(1000).numpy().tobytes())])
    with pytest.raises(ValueError, match=r"weights\.pth .*1 names of records occur twice, first weights/data/0"):
        read_weights(path)


def test_a_compressed_record_is_refused_before_it_fills_the_memory(path):
    rewrite(path, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"weights\.pth .*is compressed"):
        read_weights(path)


def test_files_of_torch_before_its_zip_format_are_read(path):
    torch.save({"a": torch.arange(3)}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(path)["a"], torch.arange(3))


def test_a_flipped_bit_anywhere_is_refused_or_changes_no_tensor(tmp_path):
    """In every fifth byte; tests/stress/fuzz.py draws from all of them."""
    path = tmp_path / "small.pth"
    original = {"a": torch.arange(20.0), "b": torch.ones(5)}
    torch.save(original, path)
    content = path.read_bytes()
    for position in range(0, len(content), 5):
        path.write_bytes(content)
        flip(position, bit=1 << position % 8)(path)
        with contextlib.suppress(ValueError):
            state = read_weights(path)
            assert same(state, original), position


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty: take another copy of it"),
        (b"<!-- saved -->\n<html>", "is a web page, not weights: download it again"),
        (b"404: Not Found", "is damaged or not a plain weight file .its content is none of torch.save"),
        (b"\n<!DOCTYPE html><html>", "is a web page, not weights: download it again"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not weights: fetch the file itself"),
    ],
)
def test_what_is_often_taken_for_weights_is_named(path, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.pth {message}"):
        read_weights(path)


def test_pickled_code_is_named_without_advice_to_run_it(path):
    torch.save({"a": print}, path)
    with pytest.raises(
        ValueError, match="holds print beside tensors and plain values, which is not loaded: save its"
    ) as error:
        read_weights(path)
    assert "weights_only" not in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("wrapper", ["state_dict", "model", None])
def test_wrapped_tensors_are_found(prefix, wrapper):
    state = {f"{prefix}conv.weight": torch.ones(1)}
    found = unwrap(state if wrapper is None else {"epoch": 3, wrapper: state})
    assert list(found) == ["conv.weight"]


def test_weights_that_are_not_finite_are_named():
    with pytest.raises(ValueError, match=r"conv\.bias holds NaN or infinite weights: take weights of an earlier epoch"):
        check_tensors({"conv.weight": torch.ones(2), "conv.bias": torch.tensor([0.0, torch.nan])})


def test_tensors_that_do_not_fit_are_counted_and_the_first_of_them_named():
    stored, module = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(5))), torch.nn.Linear(2, 2)
    with pytest.raises(
        ValueError,
        match=r"^2 tensors missing, 10 unexpected, 0 of another shape; missing: bias, weight; "
        r"unexpected: 0\.bias, 0\.weight, 1\.bias, 1\.weight, 2\.bias, 2\.weight and 4 more$",
    ):
        load_exactly(module, stored.state_dict())
    with pytest.raises(ValueError, match="1 of another shape; of another shape: bias$"):
        load_exactly(module, module.state_dict() | {"bias": torch.ones(3)})
    load_exactly(module, {"weight": torch.ones(2, 2), "bias": torch.ones(2)})
    assert module.weight.eq(1).all()
