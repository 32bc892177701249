"""One packed file gives the items of the trees it was packed from."""

import multiprocessing
import shutil
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from datasets.pairs.packed_render import PackedRender
from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.transforms.random_backgrounds import RandomBackgrounds
from tests.support.tiny_trees import cloud, disc_view, pack, write_pairs, write_ply, write_shapenet

SHAPES = ("02/a", "02/b", "03/c", "03/d")
FORKING = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Clouds of different numbers of points; views soft at their edge, opaque, with a palette, and grey with alpha."""
    folder = write_shapenet(tmp_path_factory.mktemp("tree"), SHAPES, num_views=5)
    write_ply(folder / "ShapeNet" / "02" / "b.ply", cloud(7, 131))
    for shape in SHAPES:
        views = folder / "ShapeNetRendering" / shape / "rendering"
        soft = disc_view(16, seed=3)
        soft[..., 3] = np.arange(256, dtype=np.uint8).reshape(16, 16)
        Image.fromarray(soft).save(views / "00.png")
        Image.fromarray(disc_view(16, seed=4)[..., :3]).save(views / "01.png")
        palette = Image.fromarray(disc_view(16, seed=5)[..., :3]).quantize(16)
        palette.save(views / "02.png", transparency=3)
        Image.fromarray(disc_view(16, seed=6)).convert("LA").save(views / "03.png")
    return folder


@pytest.fixture(scope="module")
def packed(root, tmp_path_factory):
    return pack(root, tmp_path_factory.mktemp("packed") / "all.h5")


def assert_equal_items(a, b):
    for one, other in zip(a, b, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(torch.as_tensor(one[name]), torch.as_tensor(other[name])) for name in one)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"background": "white"}, {"background": (255, 3, 128)}, {"num_points": 41}, {"seed": 5},
        {"with_images": False}, {"augment": False}, {"augment": False, "num_points": 41, "background": "white"},
        {"background": RandomBackgrounds(0.5)}, {"background": RandomBackgrounds(), "augment": False, "views": 2},
    ],
)  # fmt: skip
def test_items_equal_those_of_the_trees(root, packed, options):
    trees = ShapeNetRender(root, image_size=24, **options)
    file = PackedRender(packed, image_size=24, **options)
    assert len(trees) == len(file) == 4
    assert trees.num_points == file.num_points
    for epoch in range(6):
        trees.set_epoch(epoch)
        file.set_epoch(epoch)
        assert_equal_items(trees, file)


def test_every_view_is_stored_as_it_decodes(root, packed):
    trees, file = ShapeNetRender(root, background="white"), PackedRender(packed, background="white")
    for index in range(4):
        assert file.num_views(index) == 5
        for view in range(5):
            assert torch.equal(trees.read_pixels(index, view), file.read_pixels(index, view))


def test_pairs_equal_those_of_the_trees(root, tmp_path):
    copy = write_pairs(shutil.copytree(root, tmp_path / "tree"))
    trees, file = ShapeNetRender(copy), PackedRender(pack(copy, tmp_path / "a.h5"))
    assert_equal_items(file, trees)
    for index in range(4):
        stored, again = trees.read_pixel_pairs(index), file.read_pixel_pairs(index)
        assert (stored.num_views, stored.per_view[0], len(stored.point) > 0) == (5, 0, True)
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(stored, again, strict=True))


def test_a_file_without_pairs_says_what_to_run(root, packed):
    with pytest.raises(ValueError, match=rf"all\.h5 holds no pairs .* MESH_DIR --out {root} --pairs") as error:
        PackedRender(packed).read_pixel_pairs(0)
    assert str(error.value).endswith(f"; pack the data again: python -m data.pack {root} --out {packed} --overwrite")


def test_what_happens_to_the_trees_later_does_not_matter(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "tree")
    file = PackedRender(pack(copy, tmp_path / "a.h5"), image_size=24)
    shutil.rmtree(copy)
    assert_equal_items(file, ShapeNetRender(root, image_size=24))


def test_names_and_files_are_reported(packed):
    file = PackedRender(packed)
    assert [file.file.name(i) for i in range(4)] == list(SHAPES)
    assert file.files(2) == f"03/c in {packed}"
    assert file.file.view_name(1, 3) == "03.png"
    assert [file.file.num_points(i) for i in range(4)] == [97, 131, 97, 97]


@FORKING
def test_persistent_workers_follow_the_epoch_and_equal_no_workers(packed):
    dataset = PackedRender(packed, image_size=24)
    dataset[0]  # opens the file in this process, before the workers start
    options = {"num_workers": 2, "persistent_workers": True, "multiprocessing_context": "fork"}
    loader = DataLoader(dataset, batch_size=2, **options)
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        for name in ("aug_a", "image"):
            expected = torch.stack([dataset[i][name] for i in range(4)])
            assert torch.equal(torch.cat([batch[name] for batch in loader]), expected)


def test_a_copy_sent_to_a_spawned_worker_equals_it_and_follows_its_epoch(packed):
    dataset = PackedRender(packed, image_size=24)
    dataset[0]  # opens the file, whose descriptor must not travel
    copy = ForkingPickler.loads(ForkingPickler.dumps(dataset))
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        assert_equal_items(copy, dataset)


def read_often(path, queue):
    file = PackedRender(path, image_size=8)
    queue.put(sum(float(file[i % 4]["image"].sum()) for i in range(40)))


@FORKING
def test_two_processes_read_one_file_at_once(packed):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    readers = [context.Process(target=read_often, args=(packed, queue)) for _ in range(2)]
    for reader in readers:
        reader.start()
    sums = {queue.get(timeout=60) for _ in readers}
    for reader in readers:
        reader.join()
    read_often(packed, queue)
    assert sums == {queue.get(timeout=60)}


def test_views_of_two_sizes_are_resized_while_loading(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "tree")
    Image.fromarray(disc_view(11)).save(copy / "ShapeNetRendering" / "02" / "a" / "rendering" / "00.png")
    file = PackedRender(pack(copy, tmp_path / "a.h5"), image_size=24, augment=False)
    assert file.view_size is None
    assert {tuple(file[i]["image"].shape) for i in range(4)} == {(3, 24, 24)}
    assert file[0]["image"].dtype == torch.uint8


def test_a_cloud_with_too_few_points_is_named(packed):
    with pytest.raises(ValueError, match=r"03/c in .*all\.h5 holds 97 points, 100 are needed; pass --num_points 97"):
        PackedRender(packed, num_points=100)[2]


@pytest.mark.parametrize("name", ["num_points", "image_size"])
def test_a_size_below_two_is_refused(packed, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 2, got 1"):
        PackedRender(packed, **{name: 1})


@pytest.mark.parametrize("index", [4, -1])
def test_there_are_no_items_beyond_the_ends(packed, index):
    with pytest.raises(IndexError, match=f"no item {index}: the data set holds 4"):
        PackedRender(packed, image_size=8)[index]


def test_a_stamp_tells_other_pixels_of_equal_length(tmp_path):
    stamps = []
    for grey in (10, 200, 10):
        tree = write_shapenet(tmp_path / str(len(stamps)), ["02/a"], num_views=2)
        for path in tree.rglob("*.png"):
            Image.new("RGB", (16, 16), (grey, grey, grey)).save(path)
        stamps.append(PackedRender(pack(tree, tmp_path / f"{len(stamps)}.h5")).stamp(0, 2))
    assert stamps[0] == stamps[2] != stamps[1]
