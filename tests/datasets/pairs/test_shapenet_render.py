import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chisquare

from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.shapes.views import load_view
from datasets.transforms.compositions import compose_clouds, compose_views, draw_others
from datasets.transforms.image_transforms import augment_image, draw_image, to_pixels
from datasets.transforms.point_transforms import PointAugment, augmented_pair, random_subset, unit_sphere
from datasets.transforms.random_backgrounds import RandomBackgrounds
from tests.support.tiny_trees import cloud, disc_view, write_ply, write_shapenet


@pytest.fixture
def root(tmp_path):
    """Three shapes of 97 points with three views of 16 pixels each."""
    return write_shapenet(tmp_path)


def test_shapes_are_listed_in_sorted_order(tmp_path):
    dataset = ShapeNetRender(write_shapenet(tmp_path, ("03/b", "02/z", "03/a")))
    assert [f"{shape.synset}/{shape.shape_id}" for shape in dataset.shapes] == ["02/z", "03/a", "03/b"]


@pytest.mark.parametrize(
    "options, of_cloud, of_view",
    [
        ({"image_size": 13}, PointAugment(), lambda pixels, rng: augment_image(pixels, draw_image(rng), 13)),
        (
            {"num_points": 41, "augment": False},
            lambda points, rng: random_subset(points, rng, 41),
            lambda pixels, rng: pixels,
        ),
    ],
    ids=["augmented", "as stored"],
)
def test_an_item_is_two_clouds_one_view_and_the_index(root, options, of_cloud, of_view):
    item = ShapeNetRender(root, seed=4, **options)[1]
    rng = np.random.default_rng((4, 0, 1))
    view = root / "ShapeNetRendering" / "02" / "b" / "rendering" / f"{rng.integers(3):02d}.png"
    for name in ("aug_a", "aug_b"):
        np.testing.assert_array_equal(item[name], of_cloud(cloud(1), rng))
    assert torch.equal(item["image"], of_view(to_pixels(load_view(view)), rng))
    assert item["index"] == 1


def views_used(root, epochs):
    """Number of each shape's view used in each epoch, read back from views that are one flat colour each."""
    for path in (root / "ShapeNetRendering").glob("*/*/rendering/*.png"):
        Image.new("RGB", (4, 4), ("red", "lime", "blue")[int(path.stem)]).save(path)
    dataset = ShapeNetRender(root, image_size=4)
    used = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        used.append([int((dataset[i]["image"].amax(dim=(1, 2))).argmax()) for i in range(len(dataset))])
    return np.array(used)


def test_over_the_epochs_every_view_of_every_shape_is_used_about_equally_often(root, monkeypatch):
    monkeypatch.setattr("datasets.pairs.shapenet_render.read_points", lambda path: cloud(0, 4))
    used = views_used(root, 150)
    counts = np.stack([np.bincount(column, minlength=3) for column in used.T])
    assert chisquare(counts, axis=1).pvalue.min() > 0.001


def test_an_item_depends_on_seed_and_epoch(root):
    dataset = ShapeNetRender(root, image_size=8)
    first = dataset[0]["aug_a"]
    dataset.set_epoch(1)
    assert not torch.equal(dataset[0]["aug_a"], first)
    assert not torch.equal(ShapeNetRender(root, image_size=8, seed=1)[0]["aug_a"], first)
    dataset.set_epoch(0)
    assert torch.equal(dataset[0]["aug_a"], first)


class AsStored(PointAugment):
    """Leaves the points that it selects as they are."""

    def __call__(self, points, rng):
        return points


def test_each_augmentation_draws_its_own_subset(root):
    item = ShapeNetRender(root, num_points=41, image_size=8, clouds=augmented_pair(AsStored()))[0]
    rows = {tuple(row) for row in cloud(0).tolist()}
    subsets = [{tuple(row) for row in item[name].tolist()} for name in ("aug_a", "aug_b")]
    assert [len(subset) for subset in subsets] == [41, 41]
    assert subsets[0] != subsets[1]
    assert subsets[0] | subsets[1] <= rows


def test_an_item_holds_the_clouds_that_are_asked_for_each_augmented_by_its_own_settings(root):
    weak, strong = PointAugment("none", 1, 0, 0), PointAugment("so3")
    item = ShapeNetRender(root, image_size=8, seed=4, clouds={"weak": weak, "strong": strong})[1]
    rng = np.random.default_rng((4, 0, 1))
    rng.integers(3)  # the view
    assert set(item) == {"weak", "strong", "image", "index"}
    np.testing.assert_array_equal(item["weak"], weak(cloud(1), rng))
    np.testing.assert_array_equal(item["strong"], strong(cloud(1), rng))


@pytest.mark.parametrize("augment", [True, False])
def test_crops_local_clouds_and_several_different_views_are_made_of_the_whole_stored_shape(root, augment):
    whole = PointAugment(crop_min=0.4)
    local = replace(whole, crop_min=0.1, crop_max=0.4, num_points=13)
    clouds = augmented_pair(whole) | {"local_0": local, "local_1": local}
    options = {"num_points": 41, "image_size": 8, "seed": 4, "augment": augment}
    item = ShapeNetRender(root, clouds=clouds, views=2, **options)[1]
    rng = np.random.default_rng((4, 0, 1))
    drawn = rng.choice(3, 2, replace=False)
    for name, how in clouds.items():
        points = how.select(cloud(1), rng, 41)
        np.testing.assert_array_equal(item[name], how(points, rng) if augment else points)
    folder = root / "ShapeNetRendering" / "02" / "b" / "rendering"
    views = [to_pixels(load_view(folder / f"{view:02d}.png")) for view in drawn]
    views = [augment_image(view, draw_image(rng), 8) for view in views] if augment else views
    assert torch.equal(item["image"], torch.stack(views))
    assert [len(item[name]) for name in clouds] == [41, 41, 13, 13]


@pytest.mark.parametrize("augment", [True, False])
def test_a_composed_item_is_one_cloud_of_its_shapes_and_one_picture_of_their_views(root, augment):
    item = ShapeNetRender(root, num_points=41, image_size=8, views=2, compose=1, augment=augment, seed=3)[1]
    rng = np.random.default_rng((3, 0, 1))
    group = [1, *draw_others(1, 3, 1, rng)]
    assert len(group) == 3
    drawn = [rng.choice(3, 2, replace=False) for _ in group]
    points = compose_clouds([unit_sphere(cloud(index)) for index in group], rng)
    for name in ("aug_a", "aug_b"):
        subset = random_subset(points, rng, 41)
        np.testing.assert_array_equal(item[name], PointAugment()(subset, rng) if augment else subset)
    for number, image in enumerate(item["image"]):
        folders = [root / "ShapeNetRendering" / ("02/a", "02/b", "03/c")[index] / "rendering" for index in group]
        views = [to_pixels(load_view(f / f"{d[number]:02d}.png")) for f, d in zip(folders, drawn)]
        picture = compose_views(views, (0, 0, 0))
        assert torch.equal(image, augment_image(picture, draw_image(rng), 8) if augment else picture)


def test_a_shape_at_fault_in_a_composed_item_is_named(root, monkeypatch):
    write_ply(root / "ShapeNet" / "03" / "c.ply", np.ones((97, 3), dtype=np.float32))
    monkeypatch.setattr("datasets.pairs.render_pairs.draw_others", lambda *_: [1, 2])
    with pytest.raises(ValueError, match=r"03/c\.ply: all points coincide.*make it again"):
        ShapeNetRender(root, num_points=41, image_size=8, compose=1)[0]


def test_two_shapes_are_too_few_to_compose(tmp_path):
    with pytest.raises(ValueError, match=r"--compose 0\.5 needs 3 shapes, the data set holds 2"):
        ShapeNetRender(write_shapenet(tmp_path, ("02/a", "02/b")), compose=0.5)


def test_a_shape_with_fewer_views_than_an_item_takes_is_named(root):
    (root / "ShapeNetRendering" / "02" / "b" / "rendering" / "01.png").unlink()
    with pytest.raises(ValueError, match=r"02/b\.ply.*: 2 views, --cmid_views 3 are asked for; pass fewer"):
        ShapeNetRender(root, views=3)
    assert len(ShapeNetRender(root, views=3, with_images=False)) == 3


def test_the_cloud_is_read_once_an_item(root, monkeypatch):
    dataset = ShapeNetRender(root, image_size=8)
    read = []
    monkeypatch.setattr("datasets.pairs.shapenet_render.read_points", lambda path: read.append(path) or cloud(0))
    dataset[2]
    assert [path.name for path in read] == ["c.ply"]


def test_random_backgrounds_depend_on_seed_epoch_and_item_alone_and_differ_between_them(root):
    options = {"image_size": 16, "background": RandomBackgrounds(), "augment": False}
    data = ShapeNetRender(root, **options)
    images = []
    for epoch in range(2):
        data.set_epoch(epoch)
        images += [item["image"] for item in data.__getitems__([2, 0, 1])]
        assert torch.equal(data[0]["image"], images[-2])  # whatever else is in the batch
    images.append(ShapeNetRender(root, seed=1, **options)[2]["image"])
    clear = torch.from_numpy(disc_view(16)[..., 3] == 0)
    assert len({image[:, clear].numpy().tobytes() for image in images}) == 7


def test_opaque_views_are_refused_under_random_backgrounds_and_need_none_without_images(root):
    path = root / "ShapeNetRendering" / "02" / "a" / "rendering" / "00.png"
    Image.new("RGB", (16, 16)).save(path)
    with pytest.raises(ValueError, match=r"00\.png is opaque, so that no background would show"):
        ShapeNetRender(root, background=RandomBackgrounds())
    assert "image" not in ShapeNetRender(root, background=RandomBackgrounds(), with_images=False)[0]


def test_the_background_shows_in_the_picture(root):
    black, white = (ShapeNetRender(root, image_size=16, background=name)[0]["image"] for name in ("black", "white"))
    assert (white > black + 1)[:, 0, 0].all()


def test_limit_keeps_the_first_shapes(root):
    assert [shape.shape_id for shape in ShapeNetRender(root, limit=2).shapes] == ["a", "b"]
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        ShapeNetRender(root, limit=0)


def test_the_expected_number_of_shapes_is_checked(root):
    assert len(ShapeNetRender(root, expected_shapes=3)) == 3
    with pytest.raises(ValueError, match="holds 3 clouds, expected 4"):
        ShapeNetRender(root, expected_shapes=4)


def test_files_names_the_cloud_and_the_folder_of_views(root):
    assert ShapeNetRender(root).files(2) == f"{root}/ShapeNet/03/c.ply and {root}/ShapeNetRendering/03/c/rendering"


@pytest.mark.parametrize("exists", [True, False])
def test_an_empty_or_missing_root_says_what_to_run(tmp_path, exists):
    with pytest.raises(FileNotFoundError, match=re.escape("ShapeNet/<synset>/<id>.ply")) as caught:
        ShapeNetRender(tmp_path if exists else tmp_path / "absent")
    assert "python -m data.make_shapes --out data/shapes" in str(caught.value)
    assert "bash data/download_data.sh shapenet shapenet_render" in str(caught.value)


def test_no_folder_of_renders_at_all_is_reported(root):
    shutil.rmtree(root / "ShapeNetRendering")
    with pytest.raises(FileNotFoundError, match=r"no folder .*ShapeNetRendering"):
        ShapeNetRender(root)


def test_clouds_without_renders_are_counted_and_named(root):
    shutil.rmtree(root / "ShapeNetRendering" / "03")
    for view in (root / "ShapeNetRendering" / "02" / "b" / "rendering").iterdir():
        view.unlink()
    with pytest.raises(ValueError, match=r"2 of 3 clouds .* 02/b, 03/c; .*python -m data\.render_views MESH_DIR --out"):
        ShapeNetRender(root)


@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize(
    "points, problem",
    [(cloud(1, 40), " holds 40 points, 97 are needed"), (np.ones((97, 3), np.float32), ": all points coincide")],
)
def test_a_cloud_at_fault_is_named(root, points, problem, augment):
    write_ply(root / "ShapeNet" / "02" / "b.ply", points)
    with pytest.raises(ValueError, match=rf"b\.ply{problem}"):
        ShapeNetRender(root, image_size=8, augment=augment)[1]


def test_without_augmentation_views_of_two_sizes_are_an_error_that_says_what_to_do(root):
    Image.new("RGB", (5, 4)).save(root / "ShapeNetRendering" / "03" / "c" / "rendering" / "00.png")
    dataset = ShapeNetRender(root, augment=False)
    epoch = next(e for e in range(99) if np.random.default_rng((0, e, 2)).integers(3) == 0)
    dataset.set_epoch(epoch)
    message = r"c/rendering/00\.png has 5 x 4 pixels, .* 16 x 16; .*data\.pack ROOT\) and pass --packed$"
    with pytest.raises(ValueError, match=message):
        dataset[2]
