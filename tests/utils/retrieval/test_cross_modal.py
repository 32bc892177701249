import numpy as np
import pytest
import torch
from PIL import Image

from datasets.shapes.views import flatten
from datasets.transforms.image_transforms import to_pixels
from datasets.transforms.point_transforms import PointAugment, random_subset, unit_sphere
from tests.support.entry_programs import write_encoder
from tests.support.tiny_runs import write_state
from tests.support.tiny_trees import cloud, disc_view, write_ply
from utils.retrieval.cross_modal import EmbeddingSettings, load_cross_modal

pytestmark = pytest.mark.usefixtures("light_training")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def state(tmp_path_factory, light_training):
    return write_state(tmp_path_factory.mktemp("run") / "last.pt")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clouds")
    return [write_ply(folder / f"{number}.ply", cloud(number)) for number in range(5)]


def embed(state, clouds, **options):
    return load_cross_modal(state, CPU, EmbeddingSettings(**options))[0].embed_shapes(clouds)


def test_embeddings_have_unit_length_and_are_rows_in_order_whatever_the_batch(state, clouds):
    plain = embed(state, clouds)
    assert plain.shape == (5, 256)
    np.testing.assert_allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(plain[::-1], embed(state, clouds[::-1], batch_size=1), atol=1e-5)


@pytest.mark.parametrize("num_copies", [0, 3])
def test_a_shape_is_the_mean_over_copies_augmented_as_in_training_or_else_one_plain_subset(state, clouds, num_copies):
    cross_modal, _ = load_cross_modal(state, CPU, EmbeddingSettings(num_copies=num_copies, seed=7))
    copies = []
    for copy in range(num_copies or 1):
        rng = np.random.default_rng((7, copy))
        points = random_subset(cloud(2), rng, 61)
        copies.append(PointAugment()(points, rng) if num_copies else unit_sphere(points))
    with torch.inference_mode():
        mean = cross_modal.method.eval().embed_points(torch.from_numpy(np.stack(copies))).mean(dim=0)
    np.testing.assert_allclose(cross_modal.embed_shapes(clouds[2:3])[0], mean / mean.norm(), atol=1e-5)


@pytest.mark.parametrize("option", [{"num_points": 31}, {"num_copies": 2}, {"num_copies": 0}, {"seed": 1}])
def test_each_option_changes_the_embeddings(option, state, clouds):
    assert np.abs(embed(state, clouds) - embed(state, clouds, **option)).max() > 1e-3


def test_pictures_are_prepared_as_the_training_does_but_for_its_draws(state):
    cross_modal, _ = load_cross_modal(state, CPU, EmbeddingSettings())
    seen = []
    cross_modal.method.image_encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    pictures = [to_pixels(flatten(Image.fromarray(disc_view(40, seed=seed)))) for seed in range(3)]
    rows = cross_modal.embed_pictures(pictures)
    assert rows.shape == (3, 256)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    (images,) = seen
    assert images.shape == (3, 3, 32, 32)
    black = (torch.zeros(3) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(images[:, :, 0, 0], black.expand(3, 3), rtol=0, atol=1e-5)


def test_the_networks_are_those_of_the_file_unless_they_are_to_be_untrained(state, clouds, tmp_path):
    other = write_state(tmp_path / "last.pt", seed=9)
    assert np.abs(embed(state, clouds) - embed(other, clouds)).max() > 1e-3
    same = [embed(path, clouds, random_init=True, seed=4) for path in (state, other)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], embed(state, clouds, seed=4))


def test_what_is_recorded_names_the_checkpoint_or_the_seed(state):
    trained, untrained = (
        load_cross_modal(state, CPU, EmbeddingSettings(random_init=value, seed=3))[1] for value in (False, True)
    )
    assert (trained["weights"], trained["checkpoint"], trained["encoder_seed"]) == ("checkpoint", str(state), None)
    assert len(trained["checkpoint_sha256"]) == 64
    assert (untrained["weights"], untrained["checkpoint_sha256"], untrained["encoder_seed"]) == ("random", None, 3)
    assert trained.items() >= {"model": "dgcnn", "k": 5, "num_points": 61, "image_model": "resnet18"}.items()


def test_files_that_hold_no_trained_image_branch_are_refused(tmp_path):
    write_encoder(tmp_path / "best_model.pth")
    write_state(tmp_path / "points_only.pt", cmid_weight=0)
    write_state(tmp_path / "taught.pt", image_teacher="imagenet")
    torch.save({"method": {}, "config": {"model": "dgcnn"}}, tmp_path / "other.pt")
    broken = torch.load(write_state(tmp_path / "cut.pt"), weights_only=True)
    del broken["method"]["image_head.0.weight"]
    torch.save(broken, tmp_path / "cut.pt")
    for name, message in (
        ("best_model.pth", r"best_model\.pth has no image branch.*pass the run's last\.pt"),
        ("points_only.pt", "--cmid_weight 0: it has no image branch"),
        ("taught.pt", "--image_teacher imagenet: it has no image branch"),
        ("other.pt", "its flags lack k, num_points"),
        ("cut.pt", r"cut\.pt does not hold the networks"),
    ):
        with pytest.raises(ValueError, match=message):
            load_cross_modal(tmp_path / name, CPU, EmbeddingSettings())


def test_a_cloud_that_is_too_small_or_has_no_size_is_refused_by_name(state, tmp_path):
    small, point = write_ply(tmp_path / "small.ply", cloud(0, 11)), tmp_path / "point.npy"
    np.save(point, np.ones((97, 3)))
    with pytest.raises(ValueError, match=r"small\.ply holds 11 points, 61 are needed; pass --num_points 11"):
        embed(state, [small])
    for copies in (0, 2):
        with pytest.raises(ValueError, match=r"point\.npy: all points coincide"):
            embed(state, [point], num_copies=copies)


@pytest.mark.parametrize(("option", "value"), [("num_points", 1), ("num_copies", -1), ("batch_size", 0)])
def test_a_number_out_of_range_names_its_flag(option, value):
    with pytest.raises(ValueError, match=f"--{option} must be at least"):
        EmbeddingSettings(**{option: value})
