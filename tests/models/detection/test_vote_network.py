"""VoteNet: published names, the published function written out, sampling, strict loading."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from datasets.detection.detection_sets import SCANNET, SUN_RGBD
from models.detection.vote_backbone import Seeds, VoteBackbone
from models.detection.vote_network import VoteNet, load_votenet
from tests.support.tiny_detection import SIZES, STAGES, clouds, tiny_votenet

NORM = {"weight": 1, "bias": 1, "running_mean": 1, "running_var": 1}


def names_of_norm(prefix, width):
    return {f"{prefix}.{key}": (width,) for key in NORM} | {f"{prefix}.num_batches_tracked": ()}


def names_of_shared(prefix, *widths):
    found = {}
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        found[f"{prefix}.layer{number}.conv.weight"] = (after, before, 1, 1)
        found |= names_of_norm(f"{prefix}.layer{number}.bn.bn", after)
    return found


def names_of_head(prefix, width, out):
    found = {f"{prefix}.conv{i}.weight": (n, width, 1) for i, n in ((1, width), (2, width), (3, out))}
    found |= {f"{prefix}.conv{i}.bias": (n,) for i, n in ((1, width), (2, width), (3, out))}
    return found | names_of_norm(f"{prefix}.bn1", width) | names_of_norm(f"{prefix}.bn2", width)


@pytest.mark.parametrize(
    "kind, numbers", [(SUN_RGBD, 2 + 3 + 12 * 2 + 10 * 4 + 10), (SCANNET, 2 + 3 + 2 + 18 * 4 + 18)]
)
def test_tensors_have_the_names_and_shapes_of_the_published_checkpoints(kind, numbers):
    network = VoteNet(VoteBackbone(channels=1), kind.mean_sizes, kind.num_headings)
    expected = names_of_shared("backbone_net.sa1.mlp_module", 4, 64, 64, 128)
    expected |= names_of_shared("backbone_net.sa2.mlp_module", 131, 128, 128, 256)
    for stage in ("sa3", "sa4"):
        expected |= names_of_shared(f"backbone_net.{stage}.mlp_module", 259, 128, 128, 256)
    for stage in ("fp1", "fp2"):
        expected |= names_of_shared(f"backbone_net.{stage}.mlp", 512, 256, 256)
    expected |= names_of_head("vgen", 256, 259)
    expected |= names_of_shared("pnet.vote_aggregation.mlp_module", 259, 128, 128, 128)
    expected |= names_of_head("pnet", 128, numbers)
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected


def distances(points, others):
    return (points[:, None] - others).norm(dim=2).tolist()


def farthest_by_hand(points, count):
    order, table = [0], distances(points, points)
    while len(order) < count:
        order.append(max(range(len(points)), key=lambda i: min(table[i][j] for j in order)))
    return order


def shared_by_hand(state, prefix, x):
    """Apply layers to (B, C, S, K) as the published code does."""
    for number in itertools.count():
        name = f"{prefix}.layer{number}"
        if f"{name}.conv.weight" not in state:
            return x
        x = F.conv2d(x, state[f"{name}.conv.weight"])
        tensors = [state[f"{name}.bn.bn.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        x = F.relu(F.batch_norm(x, *tensors))


def balls_by_hand(state, prefix, points, features, centres, radius, size):
    """Describe the balls of one scene. Shape: (N, 3), (C, N) or None, (S, 3) -> (D, S)."""
    groups = []
    for centre, row in zip(centres, distances(centres, points)):
        members = [i for i, distance in enumerate(row) if distance <= radius]
        members = (members + members[:1] * size)[:size]
        offsets = ((points[members] - centre) / radius).T
        groups.append(offsets if features is None else torch.cat([offsets, features[:, members]]))
    return shared_by_hand(state, prefix, torch.stack(groups, dim=1)[None]).amax(dim=3)[0]


def carried_by_hand(state, prefix, features, centres, own, points):
    columns = []
    for point in points:
        distance, place = (centres - point).norm(dim=1).sort()
        weight = 1 / (distance[:3] + 1e-8)
        columns.append((features[:, place[:3]] * weight).sum(dim=1) / weight.sum())
    return shared_by_hand(state, prefix, torch.cat([torch.stack(columns, dim=1), own])[None, ..., None])[0, ..., 0]


def head_by_hand(state, prefix, x):
    """Apply two layers with BatchNorm and a last one to (C, S)."""
    for number in (1, 2):
        tensors = [state[f"{prefix}.bn{number}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        x = F.conv1d(x[None], state[f"{prefix}.conv{number}.weight"], state[f"{prefix}.conv{number}.bias"])
        x = F.relu(F.batch_norm(x, *tensors))[0]
    return F.conv1d(x[None], state[f"{prefix}.conv3.weight"], state[f"{prefix}.conv3.bias"])[0]


def randomise(network):
    """Give BatchNorms statistics and parameters that show whether they are used."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 1:
            low = 0.5 if name.endswith(("running_var", "bn.weight", "bn1.weight", "bn2.weight")) else -0.2
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * 0.4 + low)


def test_the_network_computes_the_published_function():
    network = tiny_votenet(num_headings=3, channels=1, num_proposals=5).double().eval()
    randomise(network)
    state, scenes = network.state_dict(), clouds(channels=1)
    with torch.no_grad():
        found = network(scenes)
    for number, scene in enumerate(scenes):
        order = farthest_by_hand(scene[:, :3], STAGES[0].centres)
        position, features, levels = scene[:, :3], scene[:, 3:].T, []
        for i, stage in enumerate(STAGES):
            chosen = order if i == 0 else farthest_by_hand(position, stage.centres)
            centres = position[chosen]
            prefix = f"backbone_net.sa{i + 1}.mlp_module"
            features = balls_by_hand(state, prefix, position, features, centres, stage.radius, stage.members)
            position = centres
            levels.append((position, features))
        (_, _), (p2, f2), (p3, f3), (p4, f4) = levels
        features = carried_by_hand(state, "backbone_net.fp1.mlp", f4, p4, f3, p3)
        features = carried_by_hand(state, "backbone_net.fp2.mlp", features, p3, f2, p2)
        assert_close(found.seeds.position[number], p2)
        assert_close(found.seeds.features[number], features)
        assert found.seeds.index[number].tolist() == order[: len(p2)]
        change = head_by_hand(state, "vgen", features)
        votes, features = p2 + change[:3].T, features + change[3:]
        features = features / features.norm(dim=0)
        assert_close(found.votes[number], votes)
        cluster = votes[farthest_by_hand(votes, 5)]
        rows = balls_by_hand(state, "pnet.vote_aggregation.mlp_module", votes, features, cluster, 0.3, 8)
        numbers = head_by_hand(state, "pnet", rows).T
        boxes = found.boxes
        assert_close(boxes.cluster[number], cluster)
        assert_close(boxes.objectness[number], numbers[:, :2])
        assert_close(boxes.centre[number], cluster + numbers[:, 2:5])
        assert_close(boxes.heading_scores[number], numbers[:, 5:8])
        assert_close(boxes.heading_rest[number], numbers[:, 8:11])
        assert_close(boxes.size_scores[number], numbers[:, 11:13])
        assert_close(boxes.size_rest[number], numbers[:, 13:19].view(5, 2, 3))
        assert_close(boxes.class_scores[number], numbers[:, 19:])


def test_proposals_start_from_farthest_votes_farthest_seeds_or_random_votes():
    votes, seeds = clouds(num_points=22, seed=1), clouds(num_points=11, seed=2)
    chosen = {
        name: tiny_votenet(num_proposals=7, sampling=name).pnet.sample(votes, seeds)
        for name in ("vote_fps", "seed_fps", "random")
    }
    for number in range(2):
        assert chosen["vote_fps"][number].tolist() == farthest_by_hand(votes[number], 7)
        assert chosen["seed_fps"][number].tolist() == [2 * i for i in farthest_by_hand(seeds[number], 7)]
    torch.manual_seed(0)
    draws = torch.stack([tiny_votenet(sampling="random", num_proposals=22).pnet.sample(votes, seeds) for _ in range(9)])
    assert set(draws.flatten().tolist()) == set(range(22))
    with pytest.raises(ValueError, match="sampling 'fps' is none of vote_fps, seed_fps, random"):
        tiny_votenet(sampling="fps")


def test_several_votes_of_a_seed_stand_in_a_row():
    network = tiny_votenet(vote_factor=2).double().eval()
    one, rest = 3 + 32, network.vgen.conv3
    with torch.no_grad():
        rest.weight.zero_()
        rest.bias.zero_()
        rest.bias[:3], rest.bias[one : one + 3] = 1.0, 2.0
        found = network(clouds())
    assert_close(found.votes[:, ::2], found.seeds.position + 1)
    assert_close(found.votes[:, 1::2], found.seeds.position + 2)


class EveryThird(torch.nn.Module):
    """Every third point is a seed; its feature is a linear map of its place."""

    feature_dim = 6

    def __init__(self):
        super().__init__()
        self.map = torch.nn.Linear(3, 6)

    def forward(self, points):
        index = torch.arange(0, points.shape[1], 3).expand(len(points), -1)
        return Seeds(points[:, ::3], self.map(points[:, ::3]).transpose(1, 2), index)


def test_any_backbone_that_returns_seeds_is_trained():
    network = VoteNet(EveryThird(), SIZES, 4, num_proposals=5, members=4, width=8).double()
    found = network(clouds())
    assert found.votes.shape == (2, 50, 3)
    assert found.boxes.class_scores.shape == (2, 5, 2)
    sum(part.square().sum() for part in found.boxes).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert network.backbone_net.map.weight.grad.any()


def test_places_of_detached_votes_learn_from_their_own_term_alone():
    for detach_votes in (False, True):
        options = {"num_proposals": 5, "members": 4, "width": 8, "detach_votes": detach_votes}
        network = VoteNet(EveryThird(), SIZES, 4, **options).double()
        found = network(clouds())
        sum(part.square().sum() for part in found.boxes).backward(retain_graph=True)
        of_place, of_feature = network.vgen.conv3.weight.grad.split([3, 6])
        assert of_feature.any()
        assert of_place.any() == (not detach_votes)
        found.votes.square().sum().backward()
        assert network.vgen.conv3.weight.grad[:3].any()


def test_a_scene_of_few_points_takes_them_all():
    found = tiny_votenet().double().eval()(clouds(num_points=9))
    assert found.seeds.position.shape == (2, 9, 3)
    assert found.boxes.centre.shape == (2, 9, 3)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_published_checkpoint_is_loaded_whole(prefix, tmp_path):
    stored, network = tiny_votenet(), tiny_votenet()
    state = {prefix + key: value for key, value in stored.state_dict().items()}
    torch.save({"epoch": 180, "optimizer_state_dict": {}, "loss": 1.5, "model_state_dict": state}, tmp_path / "c.tar")
    load_votenet(tmp_path / "c.tar", network)
    assert_close(network.state_dict(), stored.state_dict(), rtol=0, atol=0)


def test_a_checkpoint_of_other_classes_or_with_a_tensor_less_is_refused(tmp_path):
    state = tiny_votenet().state_dict()
    torch.save(state, tmp_path / "whole.pth")
    with pytest.raises(ValueError, match="whole.pth: .* of another shape: .*pnet.conv3.weight; .* 12 bins of heading"):
        load_votenet(tmp_path / "whole.pth", tiny_votenet(num_headings=12))
    del state["vgen.bn2.running_var"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(ValueError, match="less.pth: .* missing: vgen.bn2.running_var; "):
        load_votenet(tmp_path / "less.pth", tiny_votenet())
