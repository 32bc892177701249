"""Files of networks of rooms, recognised where a point encoder is expected."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

ROOMS = "rooms"  # what a run of scripts.train_semseg recorded, among what its file says of itself


def room_network(state: Mapping[str, Tensor], stored: Mapping[str, Any]) -> str | None:
    """Say which network of rooms a file holds and what reads it; None where it is not known to hold one.

    Args:
        state: its tensors.
        stored: what it says of itself.
    """
    if ROOMS in stored:
        return "a network of rooms by scripts.train_semseg, which scripts.segment reads as it is"
    if {"vgen.conv3.weight", "pnet.conv3.weight"} <= state.keys():
        return "a VoteNet, the detector of rooms that scripts.train_detection trains"
    if "conv0p1s1.kernel" in state:
        return (
            "an SR-UNet, the network of rooms that scripts.pretrain_scenes trains; scripts.train_semseg and "
            "scripts.train_detection start from one by --model_path"
        )
    return None
