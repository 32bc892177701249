"""SR-UNets of a semantic segmentation as files: started from a pre-trained one, written, read back for the test."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

from models.encoders.scenes.sr_unet import SRUNet
from models.weights.published import export_state, stored_origin
from models.weights.sr_unet_file import load_backbone, load_sr_unet
from models.weights.weight_file import read_weights
from utils import seed
from utils.semseg.semseg_settings import NORM_MOMENTUM, SemsegSettings

MODEL = "sr_unet"
ROOMS = "rooms"  # what a run recorded, among what its file says of itself
COLOURS = 3


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


def network_state(network: SRUNet, origin: dict[str, Any]) -> OrderedDict:
    """Return what `load_for_rooms` reads back: the tensors under their published names, and `origin`, JSON values."""
    return export_state(network, MODEL, **{ROOMS: origin})


def load_for_rooms(path: str | Path) -> tuple[SRUNet, dict[str, Any]]:
    """Load a trained network, `models/best_model.pth` of a run here, and what the run recorded in it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or no network of scripts.train_semseg.
    """
    origin = stored_origin(read_weights(path)).get(ROOMS)
    if origin is None:
        raise ValueError(
            f"{path} holds no network of scripts.train_semseg; expected models/best_model.pth of a run. To train one "
            "on these weights pass them without --eval"
        )
    return load_sr_unet(path, "cube", NORM_MOMENTUM), origin
