"""Items for self-training: labels that a person has given go with their shape, and only where there are any."""

from datasets.pairs.shapenet_render import ShapeNetRender
from datasets.pairs.weak_strong_items import WeakStrongItems
from datasets.transforms.point_transforms import PointAugment
from tests.support.tiny_trees import write_shapenet


def test_a_given_label_stands_in_the_item_of_its_shape_and_changes_nothing_else(tmp_path):
    names = ["02691156/b", "03797390/a"]
    source = ShapeNetRender(write_shapenet(tmp_path, names, num_views=2, size=16), num_points=48)
    options = {"num_points": 48, "image_size": 16, "grid": None, "seed": 0}
    plain, told = (WeakStrongItems(source, PointAugment(), given=given, **options) for given in ({}, {names[0]: 2}))
    items = [told[0], told[1]]  # in the order of a and b
    assert [item.pop("given") for item in items] == [-1, 2]
    for item, other in zip(items, [plain[0], plain[1]]):
        assert item.keys() == other.keys()
        assert all((item[key] == other[key]).all() for key in ("points_strong", "image_weak"))
