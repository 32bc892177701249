"""SR-UNets of PointContrast and others: their files read strictly, with the offsets of their kernels put in our order.

A kernel is a table of one matrix for each offset, and which offset comes first is not in the file. It was read in the
sources. MinkowskiEngine goes through a cube with the first axis fastest, as we do: src/region.cpp before 0.5,
src/kernel_region.hpp since; for kernels of even size since 0.3.2, by its change log. PointContrast's blocks ask for
`RegionType.HYBRID` instead (CONV_TYPE of its res16unet.py), whose list MinkowskiEngine/Common.py before 0.5 makes
centre first, then axis by axis. 0.5 has no HYBRID: code moved to it uses cubes. No published file was at hand, so none
of this has been checked on one: with the wrong order its scores would fall.
"""

from pathlib import Path

import torch
from torch import Tensor

from models.encoders.scenes.sr_unet import PLANS, SRUNet
from models.sparse.kernel_map import cube_offsets
from models.weights.published import load_strictly
from models.weights.weight_file import check_tensors, read_weights, unwrap

ORDERS = ("hybrid", "cube")
_HEAD = "final."


def hybrid_offsets(size: int = 3) -> list[tuple[int, int, int]]:
    """Return the offsets (dx, dy, dz) of a HYBRID kernel: the centre; then each axis moves all that came before."""
    offsets = [(0, 0, 0)]
    sides = [side for side in range(-(size // 2), size // 2 + 1) if side]
    for axis in range(3):
        offsets += [tuple(side if i == axis else o[i] for i in range(3)) for o in offsets for side in sides]
    return offsets


def load_sr_unet(path: str | Path, blocks: str, momentum: float = 0.1) -> SRUNet:
    """Load an SR-UNet, all tensors of the file and no other; its plan, channels and sizes are those of the file.

    Args:
        path: of torch.save or safetensors: a state dict, or one under `state_dict`.
        blocks: order of the offsets of the blocks' kernels: "hybrid" for files of PointContrast's and
            SpatioTemporalSegmentation's code on MinkowskiEngine before 0.5, "cube" for code on 0.5 and for our own.
    Raises:
        FileNotFoundError: no such file.
        ValueError: another order, a damaged file, or tensors that are missing, unexpected or of another shape: named.
    """
    state = _read(path, blocks)
    try:
        network = SRUNet(**_shape_of(state), momentum=momentum)
        load_strictly(network, _in_our_order(state, blocks), "SR-UNet")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return network


def load_backbone(path: str | Path, out_channels: int, blocks: str = "cube", momentum: float = 0.1) -> SRUNet:
    """Load all of an SR-UNet but its last layer, which is a new one of `out_channels`, whatever the file has there.

    Args:
        path, blocks: see `load_sr_unet`; best_model.pth of scripts.pretrain_scenes has our order and no last layer.
    Raises:
        FileNotFoundError: no such file.
        ValueError: see `load_sr_unet`.
    """
    state = {key: value for key, value in _read(path, blocks).items() if not key.startswith(_HEAD)}
    try:
        network = SRUNet(**_shape_of({**state, "final.kernel": torch.empty(1, out_channels)}), momentum=momentum)
        load_strictly(network, _in_our_order(state, blocks) | head_state(network), "SR-UNet")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return network


def backbone_state(network: SRUNet, voxel_size: float) -> dict[str, Tensor]:
    """Return the state of a network without its last layer; the size of its voxels stands in the metadata."""
    state = network.state_dict()
    for key in head_state(network):
        del state[key]
    state._metadata["crosspoint"] = {"model": "sr_unet", "voxel_size": voxel_size}
    return state


def head_state(network: SRUNet) -> dict[str, Tensor]:
    """Return the tensors of a network's last layer."""
    return {key: value for key, value in network.state_dict().items() if key.startswith(_HEAD)}


def _read(path: str | Path, blocks: str) -> dict[str, Tensor]:
    if blocks not in ORDERS:
        raise ValueError(f"blocks={blocks!r}, expected one of {', '.join(ORDERS)}: the file does not say it")
    state = read_weights(path)
    try:
        state = unwrap(state)
        check_tensors(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return state


def _shape_of(state: dict[str, Tensor]) -> dict[str, object]:
    """Return the arguments of the network that tensors belong to: their own where they are SR-UNet's."""
    first, last = state.get("conv0p1s1.kernel"), state.get("final.kernel")
    if first is None or last is None or first.ndim != 3 or last.ndim not in (2, 3):
        found = ", ".join(sorted(state)[:3]) or "no tensor"
        wanted = "conv0p1s1.kernel (K, C, 32) and final.kernel (96, C)"
        raise ValueError(f"no SR-UNet: expected {wanted}, found {found} ...")
    depth = [sum(f"block{stage}.{i}.conv1.kernel" in state for i in range(9)) for stage in range(1, 9)]
    plan = next((name for name, plan in PLANS.items() if list(plan.layers) == depth), None)
    if plan is None:
        plans = "; ".join(f"{name} has {plan.layers}" for name, plan in PLANS.items())
        raise ValueError(f"an SR-UNet of {tuple(depth)} blocks: {plans}")
    size = {27: 3, 125: 5}.get(len(first))
    if size is None:
        raise ValueError(f"conv0p1s1.kernel has {len(first)} offsets, expected 27 or 125")
    return {"plan": plan, "conv1_size": size, "in_channels": first.shape[1], "out_channels": last.shape[-1]}


def _in_our_order(state: dict[str, Tensor], blocks: str) -> dict[str, Tensor]:
    """Return the state with the offsets of cubes in our order, and kernels of size 1 as matrices."""
    ours = cube_offsets(3)
    place = torch.tensor([hybrid_offsets().index(offset) for offset in ours])
    made = {}
    for key, value in state.items():
        if key.startswith("block") and key.endswith((".conv1.kernel", ".conv2.kernel")) and blocks == "hybrid":
            value = value[place] if len(value) == len(ours) else value  # load_strictly names other shapes
        is_linear = key == "final.kernel" or key.endswith(".downsample.0.kernel")
        made[key] = value[0] if is_linear and value.ndim == 3 and len(value) == 1 else value
    return made
