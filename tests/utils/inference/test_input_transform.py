"""What weights say of their training clouds decides how a cloud from outside is scaled."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from datasets.transforms.point_transforms import unit_sphere
from tests.support.tiny_trees import cloud
from utils.inference.input_transform import InputTransform, describe_training_clouds

CLOUDS = np.stack([cloud(seed) for seed in range(5)])
SCANS = CLOUDS * np.array([1, 2, 4, 8, 16])[:, None, None]


def of_weights(*, is_pretrained=False, **stored):
    return InputTransform.of_weights(stored, is_pretrained=is_pretrained)


@pytest.mark.parametrize(
    "transform, expected",
    [
        (of_weights(is_pretrained=True), unit_sphere(cloud(7))),
        (of_weights(clouds=describe_training_clouds(SCANS, normalize=True)), unit_sphere(cloud(7))),
        (of_weights(classifier={"normalize": True}), unit_sphere(cloud(7))),
        (
            of_weights(clouds=describe_training_clouds(unit_sphere(CLOUDS) * 3, normalize=False)),
            unit_sphere(cloud(7)) * 3,
        ),
        (of_weights(clouds=describe_training_clouds(unit_sphere(CLOUDS) + 1, normalize=False)), cloud(7)),
        (of_weights(clouds=describe_training_clouds(SCANS, normalize=False)), cloud(7)),
        (of_weights(), cloud(7)),
    ],
    ids=["pre-trained", "normalised", "older normalised", "of one radius", "off the origin", "scans", "unknown"],
)
def test_a_cloud_is_scaled_as_the_training_clouds_were(transform, expected):
    assert_allclose(transform(cloud(7))[0], expected, rtol=1e-5, atol=1e-6)


def test_rows_of_a_set_are_taken_as_evaluation_takes_them_and_others_in_any_unit():
    transform = of_weights(clouds=describe_training_clouds(unit_sphere(CLOUDS) * 3, normalize=False))
    row = unit_sphere(cloud(7)) * 2
    points, words = transform(row, seed=None)
    assert np.array_equal(points, row)
    assert words == "97 points, as in the file"
    assert transform.unlike_training(points) is None
    assert transform.unlike_training(row * 50) == "reaches 100 from the origin, those 3"
    assert str(transform).endswith("about the origin; rows of HDF5 files as in the file, as evaluation takes them)")


def test_the_user_overrules_the_weights():
    asked = InputTransform.of_weights({}, is_pretrained=True, normalize=False, num_points=50)
    points, words = asked(cloud(7))
    assert words == "97 points, 50 drawn, as in the file"
    assert {tuple(point) for point in points} <= {tuple(point) for point in cloud(7)}


def test_z_up_is_turned_to_y_up_without_mirroring():
    turned = InputTransform.of_weights({}, is_pretrained=False, is_z_up=True)(np.eye(3, dtype=np.float32))[0]
    assert turned.tolist() == [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    assert np.linalg.det(turned) == pytest.approx(1)


def test_every_point_takes_the_value_of_the_nearest_one_taken():
    transform = InputTransform.of_weights({}, is_pretrained=True, num_points=40)
    points, rows = cloud(7), transform.rows(97, seed=3)
    full = transform.spread(rows, points, seed=3)
    assert np.array_equal(full[rows], rows)
    distance = np.linalg.norm(points[:, None] - points[rows], axis=2)
    assert np.array_equal(full, rows[distance.argmin(axis=1)])
