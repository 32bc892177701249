"""VoteNet's losses against loops over scenes, seeds, proposals and boxes; padding; scenes without boxes; gradients."""

import math

import pytest
import torch
from torch.testing import assert_close

from models.detection.box_code import BoxCode
from models.detection.proposals import ProposedBoxes
from models.detection.vote_backbone import Seeds
from models.detection.vote_network import Proposals
from models.losses import votenet
from models.losses.votenet import SceneTargets, votenet_terms

B, N, S, F, P, K, Y, H = 3, 31, 13, 2, 17, 5, 3, 4
CODE = BoxCode(((0.5, 0.6, 0.7), (1.0, 1.5, 2.0), (0.3, 0.2, 0.9)), H).double()


def random_case(counts, seed=0):
    """Draw what a network finds, and targets with `counts` boxes in the scenes; the rest is padding."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape, low=-1.0, high=1.0):
        return torch.rand(shape, generator=generator, dtype=torch.float64) * (high - low) + low

    index = torch.stack([torch.randperm(N, generator=generator)[:S] for _ in range(B)])
    seeds = Seeds(drawn(B, S, 3), drawn(B, 8, S), index)
    boxes = ProposedBoxes(
        drawn(B, P, 3, low=-0.7, high=0.7), drawn(B, P, 2), drawn(B, P, 3), drawn(B, P, H),
        drawn(B, P, H, low=-3, high=3), drawn(B, P, Y), drawn(B, P, Y, 3, low=-3, high=3), drawn(B, P, Y),
    )  # fmt: skip
    truth = SceneTargets(
        drawn(B, K, 3, low=-0.7, high=0.7),
        drawn(B, K, 3, low=0.1, high=2),
        drawn(B, K, low=-4, high=4),
        torch.randint(Y, (B, K), generator=generator),
        torch.arange(K) < torch.tensor(counts)[:, None],
        drawn(B, N, 3, 3),
        drawn(B, N) > -0.2,
    )
    return Proposals(seeds, drawn(B, S * F, 3), boxes), truth


def huber(error):
    return 0.5 * error**2 if abs(error) <= 1 else abs(error) - 0.5


def cross_entropy(scores, label):
    return math.log(sum(math.exp(score) for score in scores.tolist())) - float(scores[label])


def by_hand(found, truth):
    """Collect each term's values over the batch in lists; return the weighted means."""
    lists = {name: [] for name in ("vote", "objectness", "to_truth", "to_box", *list(votenet.WEIGHTS)[3:])}
    seeds, votes, boxes = found
    for b in range(B):
        for s in range(S):
            point = int(seeds.index[b, s])
            if truth.is_voting[b, point]:
                goals = [seeds.position[b, s] + truth.offset[b, point, j] for j in range(3)]
                own = [votes[b, s * F + j] for j in range(F)]
                lists["vote"].append(min(float((goal - vote).abs().sum()) for goal in goals for vote in own))
        real = [k for k in range(K) if truth.is_box[b, k]]
        for k in real:
            squares = [float((boxes.centre[b, p] - truth.centre[b, k]).square().sum()) for p in range(P)]
            lists["to_box"].append(min(squares))
        for p in range(P):
            far = {k: float((boxes.cluster[b, p] - truth.centre[b, k]).square().sum()) for k in real}
            nearest = min(far, key=far.get) if far else None
            distance = math.sqrt(far[nearest] + 1e-6) if far else math.inf
            if distance < 0.3 or distance > 0.6:
                is_object = int(distance < 0.3)
                weight = (0.2, 0.8)[is_object]
                lists["objectness"].append(weight * cross_entropy(boxes.objectness[b, p], is_object))
            if distance >= 0.3:
                continue
            lists["to_truth"].append(min(float((boxes.centre[b, p] - truth.centre[b, k]).square().sum()) for k in real))
            label, heading = int(truth.label[b, nearest]), float(truth.heading[b, nearest])
            number = min(range(H), key=lambda i: abs(math.remainder(heading - i * 2 * math.pi / H, 2 * math.pi)))
            rest = math.remainder(heading - number * 2 * math.pi / H, 2 * math.pi) / (math.pi / H)
            lists["heading_bin"].append(cross_entropy(boxes.heading_scores[b, p], number))
            lists["heading_rest"].append(huber(float(boxes.heading_rest[b, p, number]) - rest))
            lists["size_bin"].append(cross_entropy(boxes.size_scores[b, p], label))
            wanted = (truth.size[b, nearest] - CODE.mean_sizes[label]) / CODE.mean_sizes[label]
            errors = (boxes.size_rest[b, p, label] - wanted).tolist()
            lists["size_rest"].append(sum(map(huber, errors)) / 3)
            lists["class"].append(cross_entropy(boxes.class_scores[b, p], label))
    means = {name: sum(values) / (len(values) + 1e-6) for name, values in lists.items()}
    means["centre"] = means.pop("to_truth") + means.pop("to_box")
    published = {"vote": 1, "objectness": 0.5, "centre": 1, "heading_bin": 0.1, "heading_rest": 1}
    published |= {"size_bin": 0.1, "size_rest": 1, "class": 0.1}
    assert sum(map(len, lists.values())) > 40 or not truth.is_box.any()
    return {f"loss/{name}": 10 * weight * means[name] for name, weight in published.items()}


@pytest.mark.parametrize("counts", [(5, 3, 0), (1, 2, 4), (0, 0, 0)])
def test_every_term_equals_a_loop_over_objects(counts):
    found, truth = random_case(counts)
    terms = votenet_terms(found, truth, CODE)
    assert {key: float(value) for key, value in terms.items()} == pytest.approx(by_hand(found, truth), rel=1e-9)


def test_padding_is_ignored_wherever_it_lies():
    found, truth = random_case((3, 0, 5))
    before = votenet_terms(found, truth, CODE)
    padding = ~truth.is_box
    centre, size, label = truth.centre.clone(), truth.size.clone(), truth.label.clone()
    centre[padding] = found.boxes.cluster[:, :K][padding]  # on top of proposals
    size[padding], label[padding] = 0, 2
    after = votenet_terms(found, truth._replace(centre=centre, size=size, label=label), CODE)
    assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("counts", [(5, 2, 0), (0, 0, 0)])
def test_values_and_gradients_are_finite_and_every_output_is_taught_by_objects(counts):
    found, truth = random_case(counts)
    leaves = [found.votes, *found.boxes[1:]]
    for leaf in leaves:
        leaf.requires_grad_()
    sum(votenet_terms(found, truth, CODE).values()).backward()
    names = ("votes", *ProposedBoxes._fields[1:])
    grads = {name: leaf.grad for name, leaf in zip(names, leaves) if leaf.grad is not None}
    assert all(grad.isfinite().all() for grad in grads.values())
    taught = {name for name, grad in grads.items() if grad.any()}
    assert taught == ({*names} if any(counts) else {"votes", "objectness"})


def test_the_mean_over_ranks_is_that_of_one_process(monkeypatch):
    found, truth = random_case((4, 1, 2))
    whole = votenet_terms(found, truth, CODE)

    def of_scene(value, b):
        if isinstance(value, torch.Tensor):
            return value[b : b + 1]
        return type(value)(*(of_scene(part, b) for part in value))

    # Each of three ranks counts its own scene; what it is told of the others comes from a first pass over all of them.
    counts = []
    monkeypatch.setattr(votenet, "gather_rows", lambda rows: counts.append(rows) or rows)
    for b in range(B):
        votenet_terms(of_scene(found, b), of_scene(truth, b), CODE)
    per_rank = torch.cat(counts).view(B, -1)
    terms = []
    for b in range(B):
        place = iter(per_rank.T)
        monkeypatch.setattr(votenet, "gather_rows", lambda rows, place=place: next(place))
        monkeypatch.setattr(votenet, "get_world_size", lambda: B)
        terms.append(votenet_terms(of_scene(found, b), of_scene(truth, b), CODE))
    for name, value in whole.items():
        assert_close(sum(term[name] for term in terms) / B, value)
