"""Networks of blocks beside the published ones, written from their definitions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.published.published_dgcnn import edge_tensor, nearest
from models.encoders.dgcnn_seg import DGCNNSegEncoder
from models.encoders.pointnet import PointNet
from models.encoders.scenes.block_networks import BLOCK_NETWORKS, build_block_network
from tests.support.random_norms import randomise_norms

# Of An Tao's DGCNN_semseg, layer by layer: weights, and scale and shift of BatchNorm.
_DGCNN = [(18, 64), (64, 64), (128, 64), (64, 64), (128, 64), (192, 1024), (1216, 512), (512, 256)]
DGCNN_COUNT = sum(before * after + 2 * after for before, after in _DGCNN) + 256 * 13
# Of sem_seg/model.py: convolutions and dense layers with biases, all but the last with BatchNorm.
_TRUNK = [(9, 64), (64, 64), (64, 64), (64, 128), (128, 1024)]
_REST = [(1024, 256), (256, 128), (1152, 512), (512, 256)]
POINTNET_COUNT = sum(before * after + 3 * after for before, after in _TRUNK + _REST) + 256 * 13 + 13
TRUNK_BIASES = sum(after for _, after in _TRUNK)  # without effect before BatchNorm


@pytest.mark.parametrize(("name", "count"), [("dgcnn", DGCNN_COUNT), ("pointnet", POINTNET_COUNT - TRUNK_BIASES)])
def test_the_number_of_parameters_is_that_of_the_published_network(name, count):
    network = build_block_network(name, 13)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert (DGCNN_COUNT, POINTNET_COUNT) == (983552, 1174669)


def pair(name, **options):
    torch.manual_seed(0)
    network = randomise_norms(build_block_network(name, 5, **options).double()).eval()
    return network, torch.rand(2, 23, 9, dtype=torch.float64)


def layer(conv, x, slope=0.2):
    """Convolve (B, C, ...), normalise, activate, by torch's own layers."""
    return F.leaky_relu(conv[1](conv[0](x)), slope)


def test_dgcnn_is_the_published_formulation():
    network, blocks = pair("dgcnn", k=5)
    x, levels = blocks.transpose(1, 2), []
    for number, (first, second) in enumerate([("conv1", "conv2"), ("conv3", "conv4"), ("conv5", None)]):
        index = nearest(x[:, 6:] if number == 0 else x, 5)  # of the first layer by the place in the room
        edges = layer(getattr(network, first), edge_tensor(x, index))
        x = (layer(getattr(network, second), edges) if second else edges).amax(dim=-1)
        levels.append(x)
    feature = layer(network.conv6, torch.cat(levels, dim=1)).amax(dim=-1, keepdim=True)
    x = torch.cat([feature.expand(-1, -1, 23), *levels], dim=1)
    expected = network.conv9(layer(network.conv8, layer(network.conv7, x)))
    torch.testing.assert_close(network(blocks), expected.transpose(1, 2))


def test_pointnet_is_the_published_formulation():
    network, blocks = pair("pointnet")
    x = blocks.transpose(1, 2)
    for number in range(1, 6):
        x = layer(getattr(network, f"conv{number}"), x, 0)
    context = network.context(x.amax(dim=-1))[:, :, None].expand(-1, -1, 23)
    expected = network.final(network.head(torch.cat([x, context], dim=1)))
    torch.testing.assert_close(network(blocks), expected.transpose(1, 2))


@pytest.mark.parametrize("name", BLOCK_NETWORKS)
def test_points_move_with_their_logits_and_a_loss_reaches_every_parameter(name):
    network, blocks = pair(name)
    order = torch.randperm(23)
    torch.testing.assert_close(network(blocks[:, order]), network(blocks)[:, order])
    network.train()(blocks).square().mean().backward()
    assert [key for key, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()] == []


@pytest.mark.parametrize("name", BLOCK_NETWORKS)
def test_dropout_is_before_the_last_layer_and_as_published(name):
    network = build_block_network(name, 13)
    assert [part.p for part in network.modules() if isinstance(part, nn.Dropout)] == [
        {"dgcnn": 0.5, "pointnet": 0.3}[name]
    ]
    assert build_block_network(name, 13, dropout=0.0).dropout.p == 0


@pytest.mark.parametrize(
    ("name", "encoder"), [("dgcnn", DGCNNSegEncoder(5)), ("pointnet", PointNet())], ids=["dgcnn", "pointnet"]
)
def test_all_layers_of_the_trunk_but_the_first_are_the_encoders(name, encoder):
    network = build_block_network(name, 13)
    own = {key: value.shape for key, value in network.state_dict().items()}
    of_trunk = {key: value.shape for key, value in encoder.state_dict().items() if key.startswith(network.trunk)}
    assert of_trunk.items() <= own.items()
    left = {key.split(".")[0] for key in encoder.state_dict().keys() - of_trunk.keys()}
    assert left == {"conv1", *(["transform_net"] if name == "dgcnn" else [])}
