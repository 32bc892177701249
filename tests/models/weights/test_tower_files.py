"""Published files of point towers: read strictly by the names that their code gives."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.encoders.registry import build_encoder
from models.weights.published import export_state, load_encoder
from models.weights.ulip_file import PointTower, load_point_tower
from tests.support import tower_states
from tests.support.light_runs import same
from tests.support.tower_states import of_shapes, pretrained_pointbert, ulip

# The published file of a classifier, the key under which it stands there, and the head that is not the encoder's.
CLASSIFIERS = {
    "pointnet2": ("model_state_dict", ("fc", "bn")),
    "pointmlp": ("net", ("classifier.",)),
    "pointnext": ("model", ("prediction.",)),
    "pointbert": ("base_model", ("cls_head",)),
}
HEADS = {
    "pointnet2": {"fc1": 0, "bn1": 1, "fc2": 4, "bn2": 5},
    "pointmlp": {"classifier.0": 0, "classifier.1": 1, "classifier.4": 4, "classifier.5": 5},
    "pointnext": {f"prediction.head.{layer}.{part}": 2 * layer + part for layer in (0, 2) for part in (0, 1)},
    "pointbert": {},
}


def shapes_of(name, num_classes=0):
    return getattr(tower_states, name)(num_classes)


def of_encoder(name, state):
    """Return the encoder's part of a published classifier under the names of the encoder alone."""
    own = {key: value for key, value in state.items() if not key.startswith(CLASSIFIERS[name][1])}
    return {key.removeprefix("encoder.") if name == "pointnext" else key: value for key, value in own.items()}


def assert_holds(module, expected):
    found = module.state_dict()
    assert found.keys() == expected.keys()
    for key, value in found.items():
        assert value.shape == expected[key].shape, key
        assert bool((value == expected[key]).all()), key


@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_a_published_classifier_gives_its_encoder_and_is_known_to_have_seen_labels(name, tmp_path):
    state, (wrapper, _) = of_shapes(shapes_of(name, 40)), CLASSIFIERS[name]
    torch.save({wrapper: {f"module.{key}": value for key, value in state.items()}, "epoch": 7}, tmp_path / "w.pth")
    loaded = load_encoder(tmp_path / "w.pth")
    assert loaded.name == name
    assert_holds(loaded.encoder, of_encoder(name, state))
    assert loaded.report.saw_labels
    assert len(loaded.report.loaded) + len(loaded.report.unused) == len(state)
    assert str(loaded.report).endswith(f"{len(loaded.report.unused)} others not used, trained with labels")


def test_a_pre_trained_point_bert_gives_its_encoder_without_momentum_copy_dvae_and_queue(tmp_path):
    state = of_shapes(pretrained_pointbert())
    torch.save({"base_model": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w.pth")
    loaded = load_encoder(tmp_path / "w.pth")
    expected = {key: state[f"transformer_q.{key}"] for key in shapes_of("pointbert")}
    assert loaded.name == "pointbert"
    assert_holds(loaded.encoder, expected)
    assert len(loaded.report.unused) == len(state) - len(expected)
    assert not loaded.report.saw_labels


@pytest.mark.parametrize("name", list(CLASSIFIERS))
def test_a_file_of_ulip_gives_encoder_head_and_projection(name, tmp_path):
    shapes = shapes_of(name)
    state = of_shapes(ulip(shapes, 768 if name == "pointbert" else 256))
    torch.save({"state_dict": state, "epoch": 250}, tmp_path / "ulip.pt")
    inner = {key: state[f"module.point_encoder.{key}"] for key in shapes}
    encoder = of_encoder(name, inner)
    head = {
        f"head.{place}.{key.rpartition('.')[2]}": value
        for key, value in inner.items()
        for layer, place in HEADS[name].items()
        if key.rpartition(".")[0] == layer
    }
    expected = {f"encoder.{key}": value for key, value in encoder.items()} | head
    assert len(expected) == len(inner)
    tower = load_point_tower(tmp_path / "ulip.pt")
    assert_holds(tower, expected | {"projection": state["module.pc_projection"]})
    loaded = load_encoder(tmp_path / "ulip.pt")
    assert loaded.name == ("pointbert_512" if name == "pointbert" else name)
    assert_holds(loaded.encoder, encoder)
    assert not loaded.report.saw_labels


def test_a_tower_computes_what_ulip_does_with_its_tensors(tmp_path):
    torch.manual_seed(0)
    state = {key: torch.randn(shape) * 0.1 for key, shape in ulip(shapes_of("pointnet2"), 256).items()}
    for key, value in state.items():
        if key.endswith("running_var"):
            value.abs_().add_(0.5)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(3)
    torch.save(state, tmp_path / "ulip.pt")
    tower = load_point_tower(tmp_path / "ulip.pt", "pointnet2").eval()
    points = torch.rand(3, 29, 3) - 0.5
    x, ours = tower.encoder(points), {key.removeprefix("module."): value for key, value in state.items()}
    for number in (1, 2):
        linear = [ours[f"point_encoder.fc{number}.{part}"] for part in ("weight", "bias")]
        parts = ("running_mean", "running_var", "weight", "bias")
        x = F.relu(F.batch_norm(F.linear(x, *linear), *(ours[f"point_encoder.bn{number}.{part}"] for part in parts)))
    assert_close(tower(points), x @ ours["pc_projection"])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda state: state.pop("module.point_encoder.sa2.mlp_bns.1.bias"), "1 tensors missing.*sa2.mlp_bns.1.bias"),
        (lambda state: state.update({"module.point_encoder.sa4.x": torch.zeros(1)}), "1 unexpected.*sa4.x"),
        (lambda state: state.update({"module.point_encoder.bn2.bias": torch.zeros(9)}), "another shape.*head.5.bias"),
        (lambda state: state.pop("module.pc_projection"), "no point tower of ULIP.*pc_projection"),
        (lambda state: state.pop("module.point_encoder.sa1.mlp_convs.0.weight"), "expected point_encoder"),
    ],
)
def test_a_file_of_ulip_that_does_not_fit_is_refused_by_name(change, message, tmp_path):
    state = of_shapes(ulip(shapes_of("pointnet2"), 256))
    change(state)
    torch.save(state, tmp_path / "ulip.pt")
    with pytest.raises(ValueError, match=rf"ulip\.pt: .*{message}"):
        load_point_tower(tmp_path / "ulip.pt")


def test_another_tower_than_the_one_asked_for_is_refused(tmp_path):
    torch.save(of_shapes(ulip(shapes_of("pointnet2"), 256)), tmp_path / "ulip.pt")
    with pytest.raises(ValueError, match=r"ulip\.pt: this is a tower of pointnet2, not of pointmlp"):
        load_point_tower(tmp_path / "ulip.pt", "pointmlp")


@pytest.mark.parametrize("stored, asked", [("pointbert", "pointbert_512"), ("pointbert_512", None)])
def test_weights_of_point_bert_serve_either_number_of_groups_and_keep_their_own(stored, asked, tmp_path):
    encoder = build_encoder(stored, emb_dims=12)
    torch.save(export_state(encoder, stored), tmp_path / "w.pth")
    loaded = load_encoder(tmp_path / "w.pth", asked)
    assert (loaded.name, loaded.encoder.num_groups) == ("pointbert_512", 512)
    assert same(loaded.encoder.state_dict(), encoder.state_dict())


def test_an_encoder_without_published_layers_is_projected_as_it_is():
    tower = PointTower("pointnet", 64)
    assert (len(tower.head), tower.projection.shape) == (0, (1024, 64))
    assert tower(torch.rand(2, 9, 3)).shape == (2, 64)
