"""Networks of a semantic segmentation as files: started from a pre-trained one, written, read back for the test."""

from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from models.encoders.registry import EMB_DIMS
from models.encoders.scenes.block_networks import BLOCK_NETWORKS, build_block_network
from models.encoders.scenes.sr_unet import SRUNet
from models.weights.published import export_state, load_encoder, load_strictly, stored_origin
from models.weights.room_networks import ROOMS
from models.weights.sr_unet_file import load_backbone, load_sr_unet
from models.weights.weight_file import read_weights
from utils import seed
from utils.semseg.semseg_settings import NORM_MOMENTUM, SemsegSettings

COLOURS = 3
_FILE_NAMES = {"sr_unet": SRUNet} | {f"{name}_blocks": kind for name, kind in BLOCK_NETWORKS.items()}


def start_network(path: str, num_classes: int, settings: SemsegSettings) -> SRUNet:
    """Build the network that training starts from: for one seed with the same last layer, whatever lies before it.

    Args:
        path: weights, such as those of scripts.pretrain_scenes: all tensors are taken but those of a last layer, which
            is new; "" draws all.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, no SR-UNet, of another plan, or of other inputs than colours.
    """
    seed.everything(settings.seed)
    network = SRUNet(COLOURS, num_classes, settings.plan, momentum=NORM_MOMENTUM)
    if not path:
        return network
    loaded = load_backbone(path, num_classes, settings.kernel_order, NORM_MOMENTUM)
    if loaded.plan != settings.plan:
        raise ValueError(f"{path} is an SR-UNet {loaded.plan}, got --plan {settings.plan}; pass --plan {loaded.plan}")
    channels = loaded.conv0p1s1.kernel.shape[1]
    if channels != COLOURS:
        raise ValueError(f"{path} takes {channels} numbers of a voxel, expected an SR-UNet of {COLOURS}, its colour")
    loaded.final = network.final
    return loaded


class StartedBlocks(NamedTuple):
    """A network of blocks, and what was taken from the file it starts from, in words."""

    network: nn.Module
    report: str


def start_block_network(path: str, num_classes: int, settings: SemsegSettings) -> StartedBlocks:
    """Build the network that training starts from: for one seed with the same new layers, whatever the others are.

    Args:
        path: weights of a pre-trained encoder, all of whose trunk but the first layer is taken; "" draws all.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or of another encoder or width.
    """
    seed.everything(settings.seed)
    network = build_block_network(settings.model, num_classes, k=settings.k, dropout=settings.dropout)
    if not path:
        return StartedBlocks(network, "from scratch")
    try:
        loaded = load_encoder(path, network.pretrained_as, settings.k, EMB_DIMS)
    except ValueError as error:
        raise ValueError(
            f"{error}; by blocks --model {settings.model} starts from an encoder that was pre-trained as --model "
            f"{network.pretrained_as}, of width {EMB_DIMS}"
        ) from error
    state = loaded.encoder.state_dict()
    taken = {key: value for key, value in state.items() if key.startswith(network.trunk)}
    network.load_state_dict(network.state_dict() | taken)
    left = sorted({key.split(".")[0] for key in state.keys() - taken})
    report = (
        f"{path}: {loaded.report}; of these {len(taken)} taken: all but {', '.join(left)}, since the first layer takes "
        "nine numbers of a point here, not three; first layer and classifier are new"
    )
    return StartedBlocks(network, report)


def network_state(network: nn.Module, origin: dict[str, Any]) -> OrderedDict:
    """Return what `load_for_rooms` reads back: the tensors under their published names, and `origin`, JSON values."""
    name = next(name for name, kind in _FILE_NAMES.items() if type(network) is kind)
    return export_state(network, name, **{ROOMS: origin})


def load_for_rooms(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Load a trained network, `models/best_model.pth` of a run here, and what the run recorded in it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or no network of scripts.train_semseg.
    """
    state = read_weights(path)
    origin = stored_origin(state).get(ROOMS)
    if origin is None:
        raise ValueError(
            f"{path} holds no network of scripts.train_semseg; expected models/best_model.pth of a run. To train one "
            "on these weights pass them without --eval"
        )
    if origin["model"] not in BLOCK_NETWORKS:
        return load_sr_unet(path, "cube", NORM_MOMENTUM), origin
    network = build_block_network(origin["model"], len(origin["class_names"]), k=origin.get("k"))
    try:
        load_strictly(network, state, "network")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return network, origin
