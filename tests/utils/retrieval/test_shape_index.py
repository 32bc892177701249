import os

import numpy as np
import pytest
import torch

from datasets.shapes.shape_folder import list_shape_files
from tests.support.tiny_runs import write_state
from tests.support.tiny_trees import cloud, write_ply, write_shapenet
from utils.retrieval.cross_modal import EmbeddingSettings, load_cross_modal
from utils.retrieval.shape_index import embed_folder

pytestmark = pytest.mark.usefixtures("light_training")


@pytest.fixture
def root(tmp_path):
    return write_shapenet(tmp_path / "tree")


@pytest.fixture(scope="module")
def state(tmp_path_factory, light_training):
    return write_state(tmp_path_factory.mktemp("run") / "last.pt")


def index(state, root, path, **options):
    settings = EmbeddingSettings(**{"num_copies": 0, **options})
    cross_modal, constants = load_cross_modal(state, torch.device("cpu"), settings)
    lines = []
    return embed_folder(cross_modal, list_shape_files(root), constants, path, lines.append), lines


def test_a_kept_index_is_read_and_equals_the_computed_one(state, root, tmp_path):
    path = tmp_path / "new" / "index.npz"
    computed, lines = index(state, root, path)
    assert lines == [f"index of 3 shapes written to {path}"]
    shape = root / "ShapeNet" / "02" / "a.ply"
    before = shape.stat()
    shape.write_bytes(bytes(before.st_size))
    os.utime(shape, ns=(before.st_atime_ns, before.st_mtime_ns))
    kept, lines = index(state, root, path)  # of a file that could not be read any more
    assert lines == [f"index of 3 shapes read from {path}"]
    assert np.array_equal(computed, kept)
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["name"].tolist() == ["02/a", "02/b", "03/c"]


def test_without_a_path_nothing_is_written(state, root, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert index(state, root, None)[0].shape == (3, 256)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("option", [{"num_points": 31}, {"num_copies": 2}, {"seed": 5}, {"random_init": True}])
def test_an_index_of_other_settings_is_refused(option, state, root, tmp_path):
    index(state, root, tmp_path / "i.npz")
    with pytest.raises(ValueError, match=r"--index .*i\.npz is of something else: .* was .* is .*; delete it"):
        index(state, root, tmp_path / "i.npz", **option)


def test_an_index_of_another_checkpoint_or_of_other_shapes_is_refused(state, root, tmp_path):
    index(state, root, tmp_path / "i.npz")
    with pytest.raises(ValueError, match="checkpoint_sha256 was"):
        index(write_state(tmp_path / "last.pt", seed=1), root, tmp_path / "i.npz")
    added = write_ply(root / "ShapeNet" / "03" / "d.ply", cloud(9))
    with pytest.raises(ValueError, match="shapes was"):
        index(state, root, tmp_path / "i.npz")
    added.unlink()
    index(state, root, tmp_path / "i.npz")
    path = root / "ShapeNet" / "02" / "a.ply"
    size = path.stat().st_size
    write_ply(path, cloud(77))
    os.utime(path, (1, 1))
    assert path.stat().st_size == size  # made again, by its time alone
    with pytest.raises(ValueError, match="shapes was"):
        index(state, root, tmp_path / "i.npz")


@pytest.mark.parametrize("flags", [{"k": 6}, {"model": "pointnet"}, {"image_depth": 50}, {"max_scale": 1.5}])
def test_an_untrained_index_of_another_network_or_augmentation_is_refused(flags, state, root, tmp_path):
    index(state, root, tmp_path / "i.npz", random_init=True)
    other = write_state(tmp_path / "last.pt", **flags)
    with pytest.raises(ValueError, match="is of something else"):
        index(other, root, tmp_path / "i.npz", random_init=True)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"text", None])
def test_a_damaged_index_is_refused_by_name(content, state, root, tmp_path):
    path = tmp_path / "i.npz"
    if content is None:
        np.savez(path, embedding=np.ones((3, 2)))  # sound, of something else
    else:
        path.write_bytes(content)
    message = "is no index of scripts.retrieve" if content is None else "cannot be read"
    with pytest.raises(ValueError, match=rf"i\.npz {message}"):
        index(state, root, path)
