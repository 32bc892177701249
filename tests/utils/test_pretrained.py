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


@pytest.fixture(scope="module")
def encoder(path):
    return load(path, device="cpu")


POINTS = np.random.default_rng(0).random((5, 31, 3)) * 40 + 7


def test_an_array_gives_the_array_that_evaluation_computes(encoder, plain):
    feature = encoder(POINTS, batch_size=2)
    assert (feature.shape, feature.dtype) == ((5, encoder.feature_dim), np.float32)
    assert np.array_equal(feature, extract_features(plain, POINTS, batch_size=2))


def test_a_tensor_gives_a_tensor_without_a_gradient(encoder):
    points = torch.from_numpy(POINTS).requires_grad_()
    feature = encoder(points)
    assert not feature.requires_grad
    assert torch.equal(feature, torch.from_numpy(encoder(POINTS)))


def test_normalised_clouds_give_the_same_feature_whatever_their_unit_and_place(encoder):
    assert_close(encoder(POINTS, normalize=True), encoder(unit_sphere(POINTS)))
    assert_close(encoder(POINTS, normalize=True), encoder(POINTS * 8 - 64, normalize=True), rtol=1e-4, atol=1e-4)
    assert not np.allclose(encoder(POINTS), encoder(POINTS, normalize=True), rtol=0.1)


def test_the_module_is_in_eval_mode_and_differentiable_and_of_another_k_where_one_is_chosen(path, encoder):
    assert (encoder.name, encoder.module.k, encoder.module.training) == ("dgcnn", 7, False)
    assert encoder.module(torch.rand(1, 31, 3)).requires_grad
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
def test_clouds_that_do_not_fit_are_refused(points, expected, normalize, encoder):
    with pytest.raises(ValueError, match=expected):
        encoder(points, normalize=normalize)


def test_a_cloud_without_a_size_cannot_be_normalised(encoder):
    with pytest.raises(ValueError, match="all points coincide in cloud 1"):
        encoder(np.stack([POINTS[0], np.ones((31, 3))]), normalize=True)


def test_a_published_file_is_loaded(shared):
    encoder = load(shared / "golden" / "dgcnn_cls.pth", device="cpu")
    assert encoder(POINTS[:1]).shape == (1, encoder.feature_dim)
