"""The loader benchmark: its baseline does what the published code does, and its figures are what they are called."""

import json
import random

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from scipy.stats import ks_2samp

from benchmarks import loader
from benchmarks.published import published_loader
from datasets.transforms.image_transforms import augment_image, draw_image, to_pixels
from datasets.transforms.point_transforms import PUBLISHED_AUGMENT
from tests.support.tiny_trees import cloud, disc_view, pack, write_ply, write_shapenet


@pytest.fixture
def seeded():
    """Seed the global generators for the test and restore them."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_the_published_reader_reads_the_vertices(tmp_path, encoding):
    path = write_ply(tmp_path / "a.ply", cloud(0), encoding)
    np.testing.assert_allclose(published_loader.read_vertices(path), cloud(0), atol=1e-6)


def test_the_published_reader_skips_other_properties(tmp_path):
    mesh = trimesh.creation.box()
    (tmp_path / "box.ply").write_bytes(mesh.export(file_type="ply"))
    np.testing.assert_allclose(published_loader.read_vertices(tmp_path / "box.ply"), mesh.vertices)


def test_published_clouds_have_the_statistics_of_ours(seeded):
    points, rng = cloud(0, 31), np.random.default_rng(0)
    theirs = torch.stack([published_loader.augment(points.copy()) for _ in range(600)]).double()
    ours = torch.from_numpy(np.stack([PUBLISHED_AUGMENT(points, rng) for _ in range(600)])).double()
    for point, axis in ((0, 0), (7, 1), (30, 2)):
        assert ks_2samp(theirs[:, point, axis], ours[:, point, axis]).pvalue > 0.01


def test_a_published_item_has_the_parts_of_ours(tmp_path, seeded):
    root = write_shapenet(tmp_path)
    aug_a, aug_b, image = published_loader.PublishedRender(root, 24)[1]
    assert aug_a.shape == aug_b.shape == (97, 3)
    assert not torch.equal(aug_a, aug_b)
    assert image.shape == (3, 24, 24)


def test_published_images_have_the_statistics_of_ours(tmp_path, seeded):
    root = write_shapenet(tmp_path, num_views=1)
    view = root / "ShapeNetRendering" / "02" / "a" / "rendering" / "00.png"
    Image.fromarray(disc_view(16)[..., :3]).save(view)
    dataset, rng = published_loader.PublishedRender(root, 8), np.random.default_rng(0)
    theirs = torch.stack([dataset[0][2] for _ in range(400)])
    pixels = to_pixels(Image.open(view))
    ours = torch.stack([augment_image(pixels, draw_image(rng), 8) for _ in range(400)])
    for channel, row, column in ((0, 3, 3), (1, 0, 5), (2, 7, 2)):
        values = [images[:, channel, row, column].round(decimals=4) for images in (theirs, ours)]
        assert ks_2samp(*values).pvalue > 0.01


def arguments(root, *flags):
    small = ("--image_size", "24", "--batch_size", "2", "--rounds", "1", "--device", "cpu")
    return loader.parse_args(["--data_root", str(root), *small, *flags])


@pytest.fixture
def packed_root(tmp_path):
    root = write_shapenet(tmp_path / "tree")
    pack(root, root / "shapenet_render.h5")
    return root


def test_figures_of_every_kind_are_printed_and_written(packed_root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    path = tmp_path / "loader.json"
    loader.main(arguments(packed_root, "--json", str(path)))
    kinds = ["published", "tree", "packed", "device", "decoded"]
    figures = json.loads(path.read_text())["figures"]
    assert [(figure["name"], figure["side"]) for figure in figures] == [
        *(("load an item", kind) for kind in kinds),
        ("augment an item of a batch", "cpu"),
    ]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[-5:]]
    for line, figure in zip(lines, figures):
        assert line[0] == figure["side"]
        assert float(line[1]) == pytest.approx(1e3 / figure["value"], abs=0.6)
        assert float(line[-1].rstrip("x")) == pytest.approx(figures[0]["value"] / figure["value"], abs=0.006)


def test_a_file_of_other_data_is_not_compared(packed_root):
    write_ply(packed_root / "ShapeNet" / "02" / "a.ply", cloud(50))
    with pytest.raises(ValueError, match="is of other data than"):
        loader.open_all(arguments(packed_root))
