from contextlib import nullcontext

import numpy as np
import pytest
from torch import nn
from torch.testing import assert_close

from models.encoders.registry import build_encoder
from utils.evaluation.features import as_clouds, extract_features


class Extent(nn.Module):
    """Feature: (x extent, y extent, z extent), NaN for clouds of which every x is equal. Has a BatchNorm to update."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, points):
        extent = points.amax(dim=1) - points.amin(dim=1)
        return self.norm(extent * extent[:, :1] / extent[:, :1])


def clouds(num_clouds=7, num_points=23):
    return np.random.default_rng(5).random((num_clouds, num_points, 3)).astype(np.float32)


def test_rows_come_in_the_order_of_the_clouds_whatever_the_batch_size():
    encoder = build_encoder("dgcnn", k=5)
    points = clouds()
    features = extract_features(encoder, points, batch_size=3)
    assert features.shape == (7, 2048)
    assert features.dtype == np.float32
    for row, cloud in zip(features, points, strict=True):
        assert_close(row, extract_features(encoder, cloud[None])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("failure", [None, "cloud 3"])
def test_statistics_gradients_and_each_modules_own_mode_are_as_before_after_an_error_too(failure):
    encoder, points = nn.Sequential(Extent(), nn.Dropout()).train(), clouds()
    encoder[1].eval()
    if failure:
        points[3, :, 0] = 0.5
    with pytest.raises(ValueError, match=failure) if failure else nullcontext():
        extract_features(encoder, points)
    assert [module.training for module in (encoder, encoder[0], encoder[0].norm, encoder[1])] == [True] * 3 + [False]
    assert encoder[0].norm.num_batches_tracked == 0
    assert all(parameter.grad is None and parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize(
    "where, value, fault",
    [
        (np.s_[5:, :, 0], 0.5, "cloud 5 has a feature that is not finite"),
        (np.s_[4, 2, 1], np.inf, "cloud 4 has a point that is not finite"),
    ],
)
def test_what_is_not_finite_names_its_cloud(where, value, fault):
    points = clouds()
    points[where] = value
    with pytest.raises(ValueError, match=f"^{fault}"):
        extract_features(Extent(), points, batch_size=2)


def test_an_error_of_the_encoder_names_the_clouds_of_its_batch():
    with pytest.raises(ValueError, match="^clouds 0 to 2: .*k = 29"):
        extract_features(build_encoder("dgcnn", k=29), clouds(), batch_size=3)


@pytest.mark.parametrize("shape", [(0, 5, 3), (4, 0, 3), (4, 5, 2), (4, 3)])
def test_arrays_that_are_no_clouds_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected clouds \(M, N, 3\)"):
        extract_features(Extent(), np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("view", [lambda a: a[..., ::-1], lambda a: a[:, ::-2], lambda a: a.astype(">f8")])
def test_clouds_may_be_views_with_reversed_axes_or_of_another_byte_order(view):
    points = view(np.random.default_rng(0).normal(size=(2, 7, 3)))
    assert np.array_equal(as_clouds(points).numpy(), points.astype(np.float32))
