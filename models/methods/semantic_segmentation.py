"""Supervised semantic segmentation of rooms as methods: cross-entropy of voxels of a sparse U-Net, of points of blocks.

Letters: B rooms or blocks, N points and M voxels of all rooms together, P points of a block, Y classes.
"""

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.distributed import all_reduce_sum, get_world_size
from models.encoders.scenes.sr_unet import SRUNet
from models.methods.method import Batch, Method, Terms
from models.sparse.sparse_conv import VoxelNorm
from models.sparse.sparse_tensor import SparseTensor
from models.sparse.voxelise import voxelise

PROBES = ("none", "linear", "linear_bn", "decoder")
IGNORED = 255


class RoomSegmentation(Method):
    """Cross-entropy of the voxels whose points have one label, averaged over the voxels of all processes.

    A voxel has the mean colour of its points. As published, one with points of several labels does not count.

    Args:
        network: colours of voxels (M, 3) -> logits (M, Y).
        voxel: edge of a voxel in metres.
        probe: what is trained: "none" the network, "linear" its last layer, "decoder" all behind its coarsest voxels.
            The rest gets no gradient and stays in eval mode, so that its BatchNorm buffers do not move. "linear_bn"
            is "linear" with every feature standardised before the last layer, by a BatchNorm without affine map, so
            that features of any scale are probed alike (He et al. 2022, arXiv:2111.06377).
    Raises:
        ValueError: another probe.
    """

    def __init__(self, network: SRUNet, voxel: float, probe: str = "none"):
        super().__init__()
        if probe not in PROBES:
            raise ValueError(f"probe {probe!r}, expected one of {', '.join(PROBES)}")
        self.network, self.voxel = network, voxel
        self._frozen = [part for name, part in network.named_children() if not _is_trained(name, probe)]
        for part in self._frozen:
            part.requires_grad_(False).eval()
        self.norm = None
        if probe == "linear_bn":  # weights stay 1 and biases 0
            self.norm = VoxelNorm(network.point_dim).requires_grad_(False)

    def frozen_parts(self) -> Iterable[nn.Module]:
        return self._frozen

    def forward(self, batch: Batch) -> Terms:
        """Return {"loss/class": scalar}.

        Args:
            batch: points (N, 3) in metres, colours (N, 3), label (N,), and `lengths`, the points of each room.
        """
        voxels = voxelise(batch["points"], batch["colours"], self.voxel, batch["lengths"])
        label = voxel_labels(batch["label"], voxels.inverse, len(voxels.tensor.level))
        return {"loss/class": mean_cross_entropy(self._logits(voxels.tensor), label)}

    def _logits(self, voxels: SparseTensor) -> Tensor:
        if self.norm is None:
            return self.network(voxels).features
        features = self.norm(self.network.features(voxels).voxels, relu=False)
        return self.network.final(features).features

    def trained_network(self) -> SRUNet:
        """Return the network that scores rooms: of "linear_bn" a copy whose last layer standardises by itself."""
        if self.norm is None:
            return self.network
        network, norm = copy.deepcopy(self.network), self.norm.bn
        final, scale = network.final, torch.rsqrt(norm.running_var + norm.eps)
        with torch.no_grad():
            final.kernel.mul_(scale[:, None])
            final.bias.sub_(norm.running_mean @ final.kernel)
        return network


class BlockSegmentation(Method):
    """Cross-entropy of the points of blocks, averaged over the labelled points of all processes.

    Args:
        network: blocks (B, P, 9) -> logits (B, P, Y).
        label_smoothing: share of the target that is spread over the other classes; published: 0.2 for DGCNN.
    """

    def __init__(self, network: nn.Module, label_smoothing: float = 0.0):
        super().__init__()
        self.network, self.label_smoothing = network, label_smoothing

    def forward(self, batch: Batch) -> Terms:
        """Return {"loss/class": scalar}.

        Args:
            batch: points (B, P, 9) and label (B, P).
        """
        logits = self.network(batch["points"])
        loss = mean_cross_entropy(logits.flatten(0, 1), batch["label"].flatten(), self.label_smoothing)
        return {"loss/class": loss}

    def trained_network(self) -> nn.Module:
        """Return the network that scores rooms."""
        return self.network


def mean_cross_entropy(logits: Tensor, label: Tensor, smoothing: float = 0.0) -> Tensor:
    """Compute the cross-entropy of all entries of all processes that have a label; 0 where none has.

    Args:
        logits: (M, Y).
        label: (M,) int64 in [0, Y), or IGNORED.
        smoothing: share of the target that is spread over the other classes, as in `smoothed_cross_entropy`.
    Returns:
        Scalar, in nats; the mean of those of all processes is the mean over all entries.
    """
    num_classes = logits.shape[1]
    total = F.cross_entropy(
        logits.to(torch.promote_types(logits.dtype, torch.float32)),
        label,
        reduction="sum",
        ignore_index=IGNORED,
        label_smoothing=smoothing * num_classes / max(num_classes - 1, 1),
    )
    count = (label != IGNORED).sum().to(total)
    if get_world_size() > 1:  # processes have different numbers of labels, and their gradients are averaged
        count = all_reduce_sum(count) / get_world_size()
    return total / count.clamp_min(1 / get_world_size())


def voxel_labels(label: Tensor, inverse: Tensor, num_voxels: int) -> Tensor:
    """Return the label of each voxel, IGNORED where those of its points differ.

    Shape: label (N,), inverse (N,), the voxel of each point -> (M,).
    """
    least = label.new_full((num_voxels,), IGNORED).scatter_reduce(0, inverse, label, "amin")
    most = label.new_zeros(num_voxels).scatter_reduce(0, inverse, label, "amax")
    return torch.where(least == most, least, IGNORED)


def _is_trained(name: str, probe: str) -> bool:
    """Say whether a probe trains a part of SR-UNet: its decoder is convtr*, bntr* and block5 to block8."""
    is_decoder = name.startswith(("convtr", "bntr")) or name in ("block5", "block6", "block7", "block8")
    return probe == "none" or name == "final" or (probe == "decoder" and is_decoder)
