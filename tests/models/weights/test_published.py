"""Published weight files: golden features and gradients, strictness, round trips."""

import numpy as np
import pytest
import torch

from models.encoders import dgcnn as dgcnn_module
from models.encoders.dgcnn_seg import DGCNNPartSeg
from models.encoders.registry import ENCODERS, build_encoder
from models.layers.heads import point_head
from models.losses.nt_xent import nt_xent
from models.rows import flat_index
from models.weights.published import export_state, import_state, load_encoder
from models.weights.weight_file import read_weights
from tests.support.light_runs import same


def load_golden(shared, name):
    golden = dict(np.load(shared / "golden" / f"{name}.npz"))
    return golden, shared / "golden" / f"{name}.pth"


def relative(found, exact):
    found, exact = (torch.as_tensor(value).detach().double() for value in (found, exact))
    return ((found - exact).norm() / exact.norm()).item()


def assert_near(compute, golden):
    """Compare the golden values, and what `compute` returns for float32, with what it returns for float64.

    Rounding to float32 may exchange two nearly equal neighbours or maxima, on either side. That moves features by up to
    1e-4 and gradients by up to 4e-3 (over random weights), but hardly the statistics and the loss.
    """
    ours, exact = compute(torch.float32), compute(torch.float64)
    for name, value in ours.items():
        bound = {"grad": 1e-2, "running": 1e-5, "probe": 1e-5}.get(name.split("_")[0], 1e-3)
        assert relative(golden[name], exact[name]) < bound, name
        assert relative(value, exact[name]) < bound, name


@pytest.mark.parametrize("name", ["dgcnn_cls", "dgcnn_partseg_pretrain"])
def test_features_of_a_published_checkpoint(shared, name):
    golden, path = load_golden(shared, name)

    def features(dtype):
        loaded = load_encoder(path, k=int(golden["k"]))
        feature = loaded.encoder.to(dtype).eval()(torch.tensor(golden["points"], dtype=dtype))
        return {"eval_feat": feature, "eval_inv": loaded.head.to(dtype).eval()(feature)}

    assert_near(features, golden)


def test_part_logits_of_a_published_checkpoint(shared):
    golden, path = load_golden(shared, "dgcnn_partseg_finetune")

    def logits(dtype):
        network = DGCNNPartSeg(k=int(golden["k"]))
        assert not import_state(read_weights(path), network, "dgcnn_seg").unused
        points, category = torch.tensor(golden["points"], dtype=dtype), torch.tensor(golden["one_hot"]).argmax(dim=1)
        return {"eval_logits": network.to(dtype).eval()(points, category).transpose(1, 2)}

    assert_near(logits, golden)


def test_one_training_step_of_a_published_checkpoint(shared):
    golden, path = load_golden(shared, "dgcnn_cls")

    def step(dtype):
        encoder, head, *_ = load_encoder(path, k=int(golden["k"]))
        points = torch.tensor(golden["points"], dtype=dtype, requires_grad=True)
        feature = encoder.to(dtype).train()(points)
        embedding = head.to(dtype).train()(feature)
        loss = nt_xent(embedding, embedding.flip(0) + 0.01 * feature[:, :256], 0.1) + feature.square().mean()
        loss.backward()
        return {
            "train_feat": feature,
            "train_inv": embedding,
            "probe_loss": loss,
            "running_mean_bn3": encoder.conv3[1].running_mean,
            "running_var_bn3": encoder.conv3[1].running_var,
            "grad_conv1": encoder.conv1[0].weight.grad,
            "grad_conv4": encoder.conv4[0].weight.grad,
            "grad_bn2_weight": encoder.conv2[1].weight.grad,
            "grad_bn2_bias": encoder.conv2[1].bias.grad,
            "grad_points": points.grad,
        }

    assert_near(step, golden)


def test_features_are_closer_still_on_the_published_neighbours(shared, monkeypatch):
    """float32 cancellation made the published search pick a farther neighbour for a point or two."""

    def published_knn(x, clouds, k):
        x = x.unflatten(0, (len(clouds.lengths), -1))
        square = x.square().sum(dim=-1, keepdim=True)
        inner = -2 * x @ x.transpose(1, 2)
        return flat_index((-square.transpose(1, 2) - inner - square).topk(k).indices)

    golden, path = load_golden(shared, "dgcnn_cls")
    monkeypatch.setattr(dgcnn_module, "knn_rows", published_knn)
    encoder = load_encoder(path, k=int(golden["k"])).encoder.eval()
    with torch.no_grad():
        feature = encoder(torch.tensor(golden["points"]))
    assert relative(feature, golden["eval_feat"]) < 1e-6


@pytest.mark.parametrize("name", ["dgcnn_cls", "dgcnn_partseg_pretrain"])
def test_export_has_exactly_the_published_names(shared, name):
    _, path = load_golden(shared, name)
    published = read_weights(path)
    loaded = load_encoder(path)
    ours = export_state(loaded.encoder, loaded.name, loaded.head)
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in published.items()}


@pytest.mark.parametrize("name", list(ENCODERS))
def test_round_trip_keeps_every_tensor_and_k_and_width(tmp_path, name):
    encoder = build_encoder(name, k=7, emb_dims=96)
    head = point_head(encoder.feature_dim)
    torch.save(export_state(encoder, name, head, k=7), tmp_path / "best_model.pth")
    loaded = load_encoder(tmp_path / "best_model.pth")
    assert (loaded.name, loaded.stored_k, loaded.report.head != []) == (name, 7, True)
    assert same(encoder.state_dict(), loaded.encoder.state_dict())
    assert loaded.encoder(torch.rand(2, 31, 3)).shape == (
        2,
        192 if name == "dgcnn" or name.startswith("pointbert") else 96,
    )
    with pytest.raises(ValueError, match="best_model.pth: the embedding of these weights is 96 wide, got --emb_dims 9"):
        load_encoder(tmp_path / "best_model.pth", emb_dims=9)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("conv3.0.weight"),
        lambda state: state.update({"conv6.0.weight": torch.zeros(3)}),
        lambda state: state.update({"conv5.0.weight": torch.zeros(1024, 511, 1)}),
        lambda state: state.update({"bn2.bias": state["bn2.bias"] + 1}),
        lambda state: state.update({"conv5.0.weight": torch.zeros(0, 512, 1)}),
        lambda state: state.update({"conv5.0.weight": torch.zeros(1, 1, 1).expand(16385, 512, 1)}),
    ],
    ids=["missing", "unexpected", "reshaped", "alias", "no width", "too wide"],
)
def test_a_state_that_does_not_fit_is_refused(tmp_path, change):
    state = export_state(build_encoder("dgcnn"), "dgcnn")
    change(state)
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(ValueError, match="bad.pth"):
        load_encoder(tmp_path / "bad.pth")


@pytest.mark.parametrize("name", ["pointnet_tnet", "dgcnn"])
def test_a_file_with_heads_for_points_and_clouds_gives_its_encoder(tmp_path, name):
    state = build_encoder(name).state_dict()
    heads = {f"{head}.0.weight": torch.zeros(512, 1024) for head in ("point_project", "global_project")}
    torch.save({**state, **heads}, tmp_path / "pixels.pth")
    loaded = load_encoder(tmp_path / "pixels.pth")
    assert loaded.name == name
    assert same(loaded.encoder.state_dict(), state)
    assert loaded.report.head == ["global_project.0.weight", "point_project.0.weight"]
    assert str(loaded.report).startswith(f"{len(state)} of {len(state)} encoder tensors loaded, 2 of the projection")


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(ValueError, match="cut.pth is damaged"):
        load_encoder(tmp_path / "cut.pth")


@pytest.mark.parametrize(
    "content",
    [
        {"conv1.0.weight": "text"},
        {1: torch.zeros(1)},
        {"conv1.0.weight": [torch.zeros(64, 6, 1, 1)]},
        {"method": {"point_encoder.conv1.0.weight": torch.zeros(64, 6, 1, 1)}},
        {"method": 3, "config": {"model": "dgcnn", "k": 5}},
        {"method": {"point_encoder.a": 1}, "config": {"model": "dgcnn", "k": 5}},
        {"method": {}, "config": {}},
    ],
)
def test_a_file_of_other_contents_is_refused_by_name(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"odd\.pth"):
        load_encoder(tmp_path / "odd.pth")
