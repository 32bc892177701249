"""An encoder from Python: arrays and tensors in, features of the same kind out."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from datasets.transforms.point_transforms import unit_sphere
from models.encoders.registry import build_encoder
from models.weights.published import export_state
from utils.evaluation.features import extract_features
from utils.pretrained import load


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(3)
    return build_encoder("dgcnn", k=7)


@pytest.fixture(scope="module")
def path(plain, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "best_model.pth"
    torch.save(export_state(plain, "dgcnn", k=7), path)
    return path


POINTS = np.random.default_rng(0).random((5, 31, 3)) * 40 + 7


def test_an_array_gives_the_array_that_evaluation_computes(path, plain):
    encoder = load(path, device="cpu")
    feature = encoder(POINTS, batch_size=2)
    assert (feature.shape, feature.dtype) == ((5, encoder.feature_dim), np.float32)
    assert np.array_equal(feature, extract_features(plain, POINTS, batch_size=2))


def test_a_tensor_gives_a_tensor_without_a_gradient(path):
    encoder = load(path, device="cpu")
    points = torch.from_numpy(POINTS).requires_grad_()
    feature = encoder(points)
    assert not feature.requires_grad
    assert torch.equal(feature, torch.from_numpy(encoder(POINTS)))


def test_normalised_clouds_give_the_same_feature_whatever_their_unit_and_place(path):
    encoder = load(path, device="cpu")
    assert_close(encoder(POINTS, normalize=True), encoder(unit_sphere(POINTS)))
    assert_close(encoder(POINTS, normalize=True), encoder(POINTS * 8 - 64, normalize=True), rtol=1e-4, atol=1e-4)
    assert not np.allclose(encoder(POINTS), encoder(POINTS, normalize=True), rtol=0.1)


def test_the_module_is_in_eval_mode_and_differentiable(path):
    encoder = load(path, device="cpu")
    assert (encoder.name, encoder.module.k, encoder.module.training) == ("dgcnn", 7, False)
    assert encoder.module(torch.rand(1, 31, 3)).requires_grad


def test_k_can_be_chosen(path):
    assert load(path, k=3, device="cpu").module.k == 3


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    "points, expected",
    [
        (POINTS[0], r"expected clouds \(M, N, 3\) with M, N >= 1, got \(31, 3\)"),
        (POINTS.transpose(0, 2, 1), "expected clouds"),
        (np.full((1, 31, 3), np.nan), "cloud 0 has a point that is not finite"),
        (POINTS[:, :6], "6 points but k = 7"),
    ],
)
def test_clouds_that_do_not_fit_are_refused(points, expected, normalize, path):
    with pytest.raises(ValueError, match=expected):
        load(path, device="cpu")(points, normalize=normalize)


def test_a_cloud_without_a_size_cannot_be_normalised(path):
    with pytest.raises(ValueError, match="all points coincide in cloud 1"):
        load(path, device="cpu")(np.stack([POINTS[0], np.ones((31, 3))]), normalize=True)


def test_a_published_file_is_loaded(shared):
    encoder = load(shared / "golden" / "dgcnn_cls.pth", device="cpu")
    assert encoder(POINTS[:1]).shape == (1, encoder.feature_dim)
