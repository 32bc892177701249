"""VoteNet: objects of a scene from the votes of its points.

Source: Qi et al. 2019, Deep Hough Voting for 3D Object Detection in Point Clouds, arXiv:1904.09664.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from models.detection.box_code import BoxCode
from models.detection.proposals import ProposalModule, ProposedBoxes
from models.detection.vote_backbone import SeedBackbone, Seeds
from models.detection.voting import VotingModule
from models.weights.weight_file import check_tensors, load_exactly, read_weights, unwrap


class Proposals(NamedTuple):
    """All that VoteNet's losses need: seeds, votes (B, S * F, 3) with those of a seed in a row, and proposed boxes."""

    seeds: Seeds
    votes: Tensor
    boxes: ProposedBoxes


class VoteNet(nn.Module):
    """Seeds of a backbone, their votes, and boxes proposed around clusters of votes.

    Shape: points (B, N, 3 + further channels) -> Proposals. Metres, z up.

    With `VoteBackbone` as backbone, the state dict has the names of facebookresearch/votenet.

    Args:
        backbone: a module, see `SeedBackbone`.
        mean_sizes, num_headings: see `BoxCode`; one size for each class.
        vote_factor: votes of each seed.
        detach_votes: the places of votes learn from the votes' own term alone. As published, those of the boxes reach
            them too, and outweigh it as long as boxes are wrong.
        heads: arguments of `ProposalModule`, such as num_proposals.
    """

    def __init__(
        self,
        backbone: SeedBackbone,
        mean_sizes: Sequence[Sequence[float]],
        num_headings: int,
        *,
        vote_factor: int = 1,
        detach_votes: bool = False,
        **heads: Any,
    ):
        super().__init__()
        self.code = BoxCode(mean_sizes, num_headings)
        self.detach_votes = detach_votes
        self.backbone_net = backbone
        self.vgen = VotingModule(backbone.feature_dim, vote_factor)
        self.pnet = ProposalModule(backbone.feature_dim, self.code.num_classes, num_headings, **heads)

    def forward(self, points: Tensor) -> Proposals:
        seeds = self.backbone_net(points)
        votes, features = self.vgen(seeds.position, seeds.features.transpose(1, 2))
        places = votes.detach() if self.detach_votes else votes
        return Proposals(seeds, votes, self.pnet(places, features, seeds.position))


def load_votenet(path: str | Path, network: VoteNet) -> None:
    """Copy the weights of a checkpoint of facebookresearch/votenet, or of a state dict of ours, every tensor of them.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or of a network of other layers or sizes; names the tensors.
    """
    state = read_weights(path)
    try:
        state = unwrap(state)
        check_tensors(state)
        load_exactly(network, state)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path}: {error}; expected the weights of a VoteNet of {network.code.num_classes} classes and "
            f"{network.code.num_headings} bins of heading with as many channels and layers"
        ) from error
