"""A step of a sparse network, and of each method for scenes, on two processes is that of one with all scenes."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from datasets.detection.votes import votes_of_boxes
from models.distributed import get_rank, get_world_size
from models.encoders.scenes.block_networks import BLOCK_NETWORKS, build_block_network
from models.encoders.scenes.sr_unet import SRUNet
from models.methods.detection import Detection
from models.methods.scene_contrast import SceneContrast
from models.methods.scene_pixels import ScenePixels
from models.methods.semantic_segmentation import IGNORED, BlockSegmentation, RoomSegmentation
from tests.support.random_norms import randomise_norms
from tests.support.several_processes import run_in_processes
from tests.support.sparse_steps import sparse_step
from tests.support.tiny_detection import cube_scene, tiny_votenet
from tests.support.tiny_rooms import tiny_plan
from tests.support.training_steps import after_step, check_equal, make_stepper

LEAST = 1e-3  # norm of figures to which an error is relative
B, N, P = 4, 60, 20
VOXEL = 0.25


def draw(*shape):
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def scenes(*shape):
    """Make points of scenes that fill ever larger cubes, so that their numbers of voxels differ."""
    size = torch.linspace(0.5, 2, B, dtype=torch.float64).view(B, *(1 for _ in shape), 1)
    return draw(B, *shape, 3) * size


def segmentation():
    label = torch.arange(B * N).view(B, N) % 4
    label[0, : N // 2] = IGNORED
    batch = {"points": scenes(N), "colours": draw(B, N, 3), "label": label}
    return RoomSegmentation(SRUNet(3, 4, plan="14A"), VOXEL), batch


def linear_probe():
    method, batch = segmentation()
    return RoomSegmentation(method.network, VOXEL, "linear_bn"), batch


def contrast():
    batch = {"points": scenes(2, N), "colours": draw(B, 2, N, 3), "num_matches": torch.tensor([P, 3, 11, 7])}
    return SceneContrast(SRUNet(3, 8, plan="14A"), VOXEL, P), batch


def pixels():
    network = SRUNet(3, 8, plan="14A")
    pairs = torch.stack([(draw(B, P, i + 1) * high)[..., i].long() for i, high in enumerate((2, 8, 8, N))], dim=-1)
    batch = {"points": scenes(N), "colours": draw(B, N, 3), "pairs": pairs}
    batch |= {"maps": draw(B, 2, 6, 2, 2), "target": draw(B, 8)}
    return ScenePixels(network, VOXEL, 6, 8, map_size=8), batch


def detection():
    scenes, boxes = zip(*(cube_scene(np.random.default_rng(i)) for i in range(B)))
    votes = [votes_of_boxes(points, own) for points, own in zip(scenes, boxes)]
    batch = {name: [getattr(own, name) for own in boxes] for name in ("centre", "size", "heading", "label")}
    batch |= {"offset": [own.offset for own in votes], "is_voting": [own.is_voting for own in votes], "points": scenes}
    batch = {name: torch.from_numpy(np.stack(rows)) for name, rows in batch.items()}
    batch |= {name: rows.double() for name, rows in batch.items() if rows.is_floating_point()}
    is_box = torch.ones(batch["label"].shape, dtype=torch.bool)
    is_box[0, 1:] = False  # so that the processes have other numbers of boxes
    return Detection(tiny_votenet()), {**batch, "is_box": is_box}


def blocks(name):
    """Make blocks of nine numbers a point; more labels are missing in the later ones."""
    label = torch.arange(B * N).view(B, N) % 5
    is_missing = torch.arange(N) < 9 * torch.arange(B)[:, None]
    batch = {"points": torch.cat([scenes(N), draw(B, N, 6)], dim=2), "label": label.masked_fill(is_missing, IGNORED)}
    return BlockSegmentation(build_block_network(name, 5, dropout=0.0), 0.2), batch


METHODS = {found.__name__: found for found in (segmentation, linear_probe, contrast, pixels, detection)}
METHODS |= {f"{name} of blocks": partial(blocks, name) for name in BLOCK_NETWORKS}


def step(name):
    """Return loss terms, gradients and statistics of a step on this process's scenes."""
    torch.manual_seed(0)
    with tiny_plan():
        method, batch = METHODS[name]()
    method = randomise_norms(method.double()).train()
    share = B // get_world_size()
    batch = {key: rows[get_rank() * share :][:share] for key, rows in batch.items()}
    if name in ("segmentation", "linear_probe"):  # rooms have numbers of points of their own
        batch["lengths"] = [N] * share
        batch |= {key: batch[key].flatten(0, 1) for key in ("points", "colours", "label")}
    batch["index"] = torch.arange(share)
    return after_step(method, make_stepper(method).step(batch, 0).terms)


def steps():
    return {name: step(name) for name in METHODS} | {"sparse": sparse_step()}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return run_in_processes(steps, 2, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("name", METHODS)
def test_losses_gradients_and_statistics_are_those_of_one_process(name, ranks):
    whole = step(name)
    assert sum(value is not None and torch.as_tensor(value).abs().sum() > 0 for value in whole.values()) > 3
    for found in ranks:
        check_equal(found[name], whole, LEAST)


def test_sparse_networks_are_those_of_one_process_whose_clouds_have_other_numbers_of_voxels(ranks):
    out, whole = sparse_step()
    assert_close(torch.cat([found["sparse"][0] for found in ranks]), out, rtol=1e-9, atol=1e-9)
    assert whole["norm.bn.running_mean"].abs().max() > 1e-2
    for found in ranks:
        check_equal(found["sparse"][1], whole, LEAST)
