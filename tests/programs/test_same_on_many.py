"""Training on one, two and four processes is the same for the same global batch."""

from functools import partial

import pytest
import torch
from lightly.loss import NTXentLoss
from torch import nn
from torch.testing import assert_close

from models.distributed import get_rank, get_world_size
from models.encoders.dgcnn import DGCNN
from models.encoders.image_resnet import ImageResNet
from models.encoders.pointbert import Block
from models.encoders.pointnet_tnet import PointNetTNet
from models.encoders.registry import build_encoder
from models.encoders.tnet import TNet
from models.losses.nt_xent import nt_xent
from models.methods.classification import Classification, CloudClassifier
from models.methods.crosspoint import CrossPoint
from models.methods.multiview import MultiView
from models.methods.text_alignment import AlignedTowers, TextAlignment
from tests.support import light_runs
from tests.support.random_norms import randomise_norms
from tests.support.several_processes import run_in_processes
from tests.support.training_steps import after_step, check_equal, make_stepper

B, N, S = 8, 24, 32
RESNET = partial(ImageResNet, 18)


class SmallImageNet(light_runs.SmallImageNet):
    """Stands in for an image encoder, too."""

    feature_dim = 10


def make_method(dtype, image_encoder):
    torch.manual_seed(0)
    return randomise_norms(CrossPoint(DGCNN(k=5, emb_dims=32), image_encoder()).to(dtype))


def make_batch(step, dtype):
    """Make a global batch whose clouds drift apart, so that the statistics of one rank differ from those of all."""
    generator = torch.Generator().manual_seed(step)
    away = torch.arange(B).view(B, 1, 1) / 2
    clouds = {name: torch.randn(B, N, 3, generator=generator) + away for name in ("aug_a", "aug_b")}
    images = torch.randn(B, 3, S, S, generator=generator) * (1 + away[..., None])
    return {name: rows.to(dtype) for name, rows in (clouds | {"image": images}).items()} | {"index": torch.arange(B)}


def own(rows):
    """Return this rank's part."""
    share = B // get_world_size()
    return rows[get_rank() * share :][:share]


def step_of(stepper, batch, number):
    """Take a step on this rank's part of a global batch; return its loss terms."""
    return stepper.step({name: own(rows) for name, rows in batch.items()}, number).terms


def one_step(micro_batch, order=None, image_encoder=SmallImageNet):
    """Return loss terms, gradients and running statistics of a step in float64."""
    method = make_method(torch.float64, image_encoder)
    stepper = make_stepper(method.train(), micro_batch)
    batch = make_batch(0, torch.float64)
    if order is not None:
        batch = {name: rows[order] for name, rows in batch.items()}
    terms = step_of(stepper, batch, 0)
    return after_step(method, terms)


def class_step():
    """Return what `one_step` does, of a classifier with T-Nets whose penalty is summed over the batch."""
    torch.manual_seed(0)
    encoder = PointNetTNet(32)
    for stn in (encoder.stn1, encoder.stn2):
        torch.nn.init.normal_(stn.mlp2[-1].weight, std=0.01)
    method = randomise_norms(Classification(CloudClassifier(encoder, 5, dropout=0), transform_weight=0.01).double())
    clouds = make_batch(0, torch.float64)["aug_a"]
    batch = {"points": clouds, "label": torch.arange(B) % 5, "index": torch.arange(B)}
    terms = step_of(make_stepper(method.train()), batch, 0)
    return after_step(method, terms)


def twenty_steps(dtype, lr):
    """Return the losses of 20 steps of Adam and the weights after them."""
    method = make_method(dtype, SmallImageNet).train()
    stepper = make_stepper(method, lr=lr, optimizer=torch.optim.Adam)
    losses = [sum(step_of(stepper, make_batch(step, dtype), step).values()) for step in range(20)]
    return torch.tensor(losses), torch.cat([p.detach().flatten() for p in method.parameters()])


def distances(rows, others):
    """Return our NT-Xent and lightly's with gather_distributed, each with the gradients of its two arguments."""
    found = []
    for loss in (nt_xent, NTXentLoss(temperature=0.1, gather_distributed=True)):
        a, b = own(rows).clone().requires_grad_(), own(others).clone().requires_grad_()
        value = loss(a, b)
        value.backward()
        found.append([value.detach(), a.grad, b.grad])
    return found


def multiview_step(micro_batch=0, order=None):
    """Return loss terms, gradients and running statistics of a step of multi-view pre-training in float64."""
    torch.manual_seed(0)
    method = MultiView(build_encoder("pointnet_tnet", emb_dims=16), 6, 8, global_weight=2.0)
    method = randomise_norms(method.double()).train()
    for net in method.modules():
        if isinstance(net, TNet):
            nn.init.normal_(net.mlp2[-1].weight, std=0.1)  # otherwise there is no penalty yet
    clouds = make_batch(0, torch.float64)
    generator = torch.Generator().manual_seed(0)
    batch = {
        "points": clouds["aug_a"],
        "pairs": torch.stack([torch.randint(high, (B, 7), generator=generator) for high in (2, 32, 32, N)], dim=-1),
        "maps": torch.randn(B, 2, 6, 2, 2, dtype=torch.float64, generator=generator),
        "target": torch.randn(B, 8, dtype=torch.float64, generator=generator),
        "index": clouds["index"],
    }
    if order is not None:
        batch = {name: rows[order] for name, rows in batch.items()}
    terms = step_of(make_stepper(method, micro_batch), batch, 0)
    return after_step(method, terms)


def multi_crop_step(micro_batch=0, order=None):
    """Return what `one_step` does, with two local clouds and two views of each shape."""
    torch.manual_seed(0)
    method = CrossPoint(DGCNN(k=5, emb_dims=32), SmallImageNet(), local_clouds=2, local_weight=2.0)
    method = randomise_norms(method.double()).train()
    batch, other = make_batch(0, torch.float64), make_batch(1, torch.float64)
    batch |= {"local_0": other["aug_a"][:, :11], "local_1": other["aug_b"][:, :11]}
    batch["image"] = torch.stack([batch["image"], other["image"]], dim=1)
    if order is not None:
        batch = {name: rows[order] for name, rows in batch.items()}
    terms = step_of(make_stepper(method, micro_batch), batch, 0)
    return after_step(method, terms)


def alignment_step(micro_batch=0, order=None, *, encoder="pointnet", width=16):
    """Return loss terms, gradients and running statistics of a step of an alignment with texts in float64."""
    torch.manual_seed(0)
    points = build_encoder(encoder, emb_dims=width)
    points.starts_anywhere = False  # what is random differs between processes
    for module in points.modules():
        if isinstance(module, Block):
            module.drop_path = 0.0
    towers = AlignedTowers(points, SmallImageNet(), 5, text={}, image_size=S)
    options = {"trained_images": "all", "image_text_weight": 0.5, "masks_same_text": True}
    method = randomise_norms(TextAlignment(towers, **options).double()).train()
    batch = make_batch(0, torch.float64)
    text = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([0, 1, 2, 3, 0, 2, 1, 3])  # equal texts on both processes
    batch |= {"points": batch["aug_a"], "text": nn.functional.normalize(text, dim=1)[rows], "text_id": rows}
    if order is not None:
        batch = {name: values[order] for name, values in batch.items()}
    terms = step_of(make_stepper(method, micro_batch), batch, 0)
    return after_step(method, terms)


TOWERS = {"pointnet2": 16, "pointbert": 24}  # name and width
STEPS = {"float64": (torch.float64, 1e-3), "float32": (torch.float32, 1e-5)}


def figures(a, b):
    """Return all that this file compares, for one rank."""
    found = {"step": one_step(0), "float64": twenty_steps(*STEPS["float64"]), "distances": distances(a, b)}
    if get_world_size() == 2:
        found |= {
            "resnet": one_step(0, image_encoder=RESNET),
            "class": class_step(),
            "micro": one_step(2),
            "float32": twenty_steps(*STEPS["float32"]),
        }
        found |= {"multiview": multiview_step(), "multiview micro": multiview_step(2)}
        found |= {"multi-crop": multi_crop_step(), "multi-crop micro": multi_crop_step(2)}
        found |= {"alignment": alignment_step(), "alignment micro": alignment_step(2)}
        found |= {name: alignment_step(encoder=name, width=width) for name, width in TOWERS.items()}
    return found


@pytest.fixture(scope="module")
def embeddings():
    return torch.randn(2, B, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[2, 4])
def ranks(request, embeddings, tmp_path_factory):
    """The figures of every rank of two and of four processes."""
    return run_in_processes(figures, request.param, tmp_path_factory.mktemp("ranks"), *embeddings)


@pytest.fixture(scope="module")
def alone():
    """What this process computes alone."""
    return {"step": one_step(0), "float64": twenty_steps(*STEPS["float64"])}


def test_losses_gradients_and_statistics_are_those_of_one_process(ranks, alone):
    for found in ranks:
        check_equal(found["step"], alone["step"])


@pytest.mark.parametrize("ranks", [2], indirect=True)
def test_a_step_with_a_resnet_is_that_of_one_process(ranks):
    expected = one_step(0, image_encoder=RESNET)
    for found in ranks:
        check_equal(found["resnet"], expected)


@pytest.mark.parametrize("ranks", [2], indirect=True)
def test_a_penalty_that_is_a_sum_over_the_batch_is_that_of_one_process(ranks):
    expected = class_step()
    assert expected["loss/transform"] > 1
    for found in ranks:
        check_equal(found["class"], expected)


@pytest.mark.parametrize("ranks", [2], indirect=True)
def test_micro_batches_are_those_of_one_process_with_as_many_times_larger_ones(ranks):
    order = [0, 1, 4, 5, 2, 3, 6, 7]  # BatchNorm sees the first micro-batches of both processes, then the second ones
    expected = one_step(4, order)
    for found in ranks:
        check_equal(found["micro"], expected)


@pytest.mark.parametrize("ranks", [2], indirect=True)
def test_multi_view_steps_are_those_of_one_process(ranks):
    whole, micro = multiview_step(), multiview_step(4, [0, 1, 4, 5, 2, 3, 6, 7])
    assert whole["loss/transform"] > 0
    for found in ranks:
        check_equal(found["multiview"], whole)
        check_equal(found["multiview micro"], micro)


@pytest.mark.parametrize("ranks", [2], indirect=True)
def test_steps_with_local_clouds_and_several_views_are_those_of_one_process(ranks):
    whole, micro = multi_crop_step(), multi_crop_step(4, [0, 1, 4, 5, 2, 3, 6, 7])
    assert whole.keys() >= {"loss/imid", "loss/cmid", "loss/local"}
    for found in ranks:
        check_equal(found["multi-crop"], whole)
        check_equal(found["multi-crop micro"], micro)


@pytest.mark.parametrize("ranks", [2], indirect=True)
def test_steps_of_an_alignment_are_those_of_one_process(ranks):
    whole, micro = alignment_step(), alignment_step(4, [0, 1, 4, 5, 2, 3, 6, 7])
    assert whole["towers.logit_scale"].abs() > 1e-3
    for found in ranks:
        check_equal(found["alignment"], whole)
        check_equal(found["alignment micro"], micro)


@pytest.mark.parametrize("ranks", [2], indirect=True)
@pytest.mark.parametrize("name", TOWERS)
def test_steps_of_towers_with_groups_are_those_of_one_process(ranks, name):
    whole = alignment_step(encoder=name, width=TOWERS[name])
    for found in ranks:
        check_equal(found[name], whole)


def test_a_training_is_that_of_one_process(ranks, alone):
    losses, weights = alone["float64"]
    for found in ranks:
        found_losses, found_weights = found["float64"]
        assert_close(found_losses, losses, rtol=1e-9, atol=0)
        assert (found_weights - weights).norm() <= 1e-9 * weights.norm()


@pytest.mark.parametrize("ranks", [2], indirect=True)
def test_a_training_in_float32_differs_by_rounding_only(ranks):
    """Larger rates amplify rounding, as they do between one and two threads of one process."""
    losses, weights = twenty_steps(*STEPS["float32"])
    assert losses[-1] < losses[0] - 1
    for found in ranks:
        found_losses, found_weights = found["float32"]
        assert_close(found_losses, losses, rtol=1e-6, atol=0)
        assert (found_weights - weights).norm() <= 1e-4 * weights.norm()


def test_the_contrastive_loss_is_that_of_lightly_and_of_one_process(ranks, embeddings):
    a, b = embeddings.clone().requires_grad_()
    whole = nt_xent(a, b)
    gradients = torch.autograd.grad(whole, (a, b))
    parts = [found["distances"] for found in ranks]
    for ours, theirs in parts:
        assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    assert_close(torch.stack([ours[0] for ours, _ in parts]).mean(), whole)
    for number, gradient in enumerate(gradients, 1):  # of the sum over processes, as DistributedDataParallel averages
        assert_close(torch.cat([ours[number] for ours, _ in parts]) / len(ranks), gradient, rtol=1e-12, atol=1e-14)
