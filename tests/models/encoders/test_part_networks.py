"""Part segmentation networks: what they compute, which tensors a pre-trained file gives them."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from models.affine import SLOPE
from models.encoders.part_networks import PART_NETWORKS, build_part_network
from models.encoders.registry import build_encoder
from models.layers.heads import point_head
from models.weights.published import export_state, import_state, load_encoder
from tests.support.light_runs import same

CATEGORY = torch.tensor([2, 0, 1])


def network(name, **options):
    torch.manual_seed(0)
    return build_part_network(name, 5, num_parts=11, num_categories=3, **options).double()


def points(num_points=23):
    return torch.randn(3, num_points, 3, dtype=torch.float64)


@pytest.mark.parametrize("name", list(PART_NETWORKS))
def test_every_point_has_a_logit_for_each_part_that_moves_with_it(name):
    model, cloud, order = network(name).eval(), points(), torch.randperm(23)
    logits = model(cloud, CATEGORY)
    assert logits.shape == (3, 23, 11)
    assert_close(model(cloud[:, order], CATEGORY), logits[:, order])


@pytest.mark.parametrize("name", list(PART_NETWORKS))
def test_logits_depend_on_the_category_and_on_the_rest_of_the_cloud(name):
    model, cloud = network(name).eval(), points()
    logits = model(cloud, CATEGORY)
    assert not torch.allclose(logits, model(cloud, torch.tensor([1, 0, 1]))[:1])
    cloud[:, -1] += 5
    assert not torch.allclose(logits[:, 0], model(cloud, CATEGORY)[:, 0])


@pytest.mark.parametrize("name", ["dgcnn", "pointnet"])  # dgcnn_seg starts with an alignment of weight 0
def test_a_loss_on_the_logits_reaches_every_parameter(name):
    model = network(name)
    model(points(), CATEGORY).square().sum().backward()
    assert [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize("name", list(PART_NETWORKS))
def test_dropout_is_in_the_classifier(name):
    model, cloud = network(name, dropout=0.5), points()
    assert not torch.equal(model(cloud, CATEGORY), model(cloud, CATEGORY))
    certain = network(name, dropout=0.0)
    assert torch.equal(certain(cloud, CATEGORY), certain(cloud, CATEGORY))


@pytest.mark.parametrize("name", ["dgcnn", "pointnet", "pointnet_tnet"])
@pytest.mark.parametrize("training", [True, False])
def test_the_head_equals_a_classifier_of_everything_concatenated_at_each_point(name, training):
    model, cloud = network(name, dropout=0.0).train(training), points()
    levels, feature = model.per_point(cloud)

    def layer(x, conv):
        x, norm = F.conv1d(x[:, :, None], conv[0].weight)[:, :, 0], conv[1]
        x = F.batch_norm(x, norm.running_mean.clone(), norm.running_var.clone(), norm.weight, norm.bias, training)
        return F.leaky_relu(x, SLOPE)

    context = torch.cat([feature, layer(F.one_hot(CATEGORY, 3).double(), model.part_head.category)], dim=-1)
    x = torch.cat([*levels, context.repeat_interleave(23, dim=0)], dim=-1)
    for conv in (model.part_head.conv1, model.part_head.conv2, model.part_head.conv3):
        x = layer(x, conv)
    x = F.conv1d(x[:, :, None], model.part_head.conv4.weight, model.part_head.conv4.bias)[:, :, 0]
    assert_close(model(cloud, CATEGORY), x.unflatten(0, (3, 23)))


@pytest.mark.parametrize("name", ["dgcnn", "pointnet", "pointnet_tnet"])
@pytest.mark.parametrize("training", [True, False])
def test_the_feature_beside_the_points_is_the_encoders(name, training):
    torch.manual_seed(0)
    encoder = build_encoder(name, 5).double().train(training)
    cloud = points()
    cloud[1, 15:] = cloud[1, 0]  # copies of point 0, which the encoder merges and a part network must not
    levels, feature = encoder.per_point(cloud)
    assert_close(feature, encoder(cloud))
    assert sum(level.shape[1] for level in levels) == encoder.point_dim
    assert {len(level) for level in levels} == {3 * 23}


@pytest.mark.parametrize("name", [name for name in PART_NETWORKS if name != "pointnet_seg"])
def test_the_encoders_tensors_keep_their_names_and_a_fine_tuned_file_gives_them_back(name, tmp_path):
    model = network(name, emb_dims=24)
    encoder = build_encoder(name, 5, 24)
    assert encoder.state_dict().keys() < model.state_dict().keys()
    torch.save(export_state(model, name, k=5), tmp_path / "tuned.pth")
    loaded = load_encoder(tmp_path / "tuned.pth", name)
    assert set(loaded.report.loaded) == set(encoder.state_dict())
    assert loaded.report.unused != []
    assert same(loaded.encoder.state_dict(), {key: model.float().state_dict()[key] for key in encoder.state_dict()})


@pytest.mark.parametrize("name", list(PART_NETWORKS))
def test_a_fine_tuned_file_is_read_strictly(name):
    model, again = network(name), network(name)
    state = export_state(model, name, k=5)
    next(again.parameters()).data.zero_()
    import_state(state, again, name)
    assert same(model.state_dict(), again.state_dict())
    encoder = "pointnet_tnet" if name == "pointnet_seg" else name
    of_encoder = export_state(build_encoder(encoder, 5), encoder, point_head(8))
    with pytest.raises(ValueError, match="weights do not fit"):
        import_state(of_encoder, again, name)


def test_the_published_pointnet_has_its_widths_and_concatenates_3024_numbers_of_each_point():
    model = build_part_network("pointnet_seg", 0)
    widths = [tuple(getattr(model, f"conv{i}")[0].weight.shape[:2]) for i in range(1, 6)]
    assert widths == [(64, 3), (128, 64), (128, 128), (512, 128), (2048, 512)]
    assert model.classifier1[0].weight.shape == (256, 3024, 1)
    assert (model.stn1.channels, model.stn2.channels) == (3, 128)
    with pytest.raises(ValueError, match="--emb_dims 512: pointnet_seg has layers of fixed widths"):
        build_part_network("pointnet_seg", 0, emb_dims=512)
