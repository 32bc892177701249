"""Clusters of votes become proposals of boxes.

Source: Qi et al. 2019, arXiv:1904.09664.
Letters: B scenes, S seeds, M votes, P proposals, Y classes, H bins of heading.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.detection.vote_layers import BallLayers
from models.layers.farthest_points import farthest_order
from models.layers.grouping import gather
from models.layers.local_encoder import shared_layer
from models.layers.row_norm import linear

SAMPLINGS = ("vote_fps", "seed_fps", "random")


class ProposedBoxes(NamedTuple):
    """What is proposed, before softmax and decoding.

    cluster (B, P, 3) the vote that a proposal starts from; objectness (B, P, 2) logits of "no" and "yes"; centre
    (B, P, 3) metres; heading_scores (B, P, H), heading_rest (B, P, H) in half bins; size_scores (B, P, Y), size_rest
    (B, P, Y, 3) in mean sizes; class_scores (B, P, Y).
    """

    cluster: Tensor
    objectness: Tensor
    centre: Tensor
    heading_scores: Tensor
    heading_rest: Tensor
    size_scores: Tensor
    size_rest: Tensor
    class_scores: Tensor


class ProposalModule(nn.Module):
    """Balls around some votes, two layers with BatchNorm, and one to the numbers of a box.

    Parameters are named as published.

    Args:
        channels: of the votes.
        num_classes, num_headings: Y, H.
        num_proposals: P; all votes where there are fewer.
        sampling: of the votes that proposals start from: "vote_fps", the farthest votes; "seed_fps", the votes of the
            farthest seeds, published for evaluation; "random", with repetition, out of torch's generator.
        radius, members: of the balls.
        width: of the layers.
    Raises:
        ValueError: another word.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        num_headings: int,
        *,
        num_proposals: int = 256,
        sampling: str = "vote_fps",
        radius: float = 0.3,
        members: int = 16,
        width: int = 128,
    ):
        super().__init__()
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling {sampling!r} is none of {', '.join(SAMPLINGS)}")
        self.num_proposals, self.sampling = num_proposals, sampling
        self.parts = (2, 3, num_headings, num_headings, num_classes, 3 * num_classes, num_classes)
        self.vote_aggregation = BallLayers(radius, members, channels, (width, width, width))
        self.conv1, self.conv2 = nn.Conv1d(width, width, 1), nn.Conv1d(width, width, 1)
        self.conv3 = nn.Conv1d(width, sum(self.parts), 1)
        self.bn1, self.bn2 = nn.BatchNorm1d(width), nn.BatchNorm1d(width)

    def forward(self, votes: Tensor, features: Tensor, seeds: Tensor) -> ProposedBoxes:
        """Propose boxes. Shape: (B, M, 3), (B, M, C), (B, S, 3)."""
        cluster = gather(votes, self.sample(votes, seeds))
        rows = self.vote_aggregation(votes, features, cluster)
        x = shared_layer(rows.flatten(0, 1), self.conv1, self.bn1)
        x = linear(shared_layer(x, self.conv2, self.bn2), self.conv3.weight.flatten(1), self.conv3.bias)
        objectness, offset, *rest = x.unflatten(0, rows.shape[:2]).split(self.parts, dim=-1)
        heading_scores, heading_rest, size_scores, size_rest, class_scores = rest
        size_rest = size_rest.unflatten(-1, (-1, 3))
        centre = cluster + offset
        return ProposedBoxes(
            cluster, objectness, centre, heading_scores, heading_rest, size_scores, size_rest, class_scores
        )

    @torch.no_grad()
    def sample(self, votes: Tensor, seeds: Tensor) -> Tensor:
        """Choose the votes that proposals start from. Shape: (B, M, 3), (B, S, 3) -> (B, P) int64."""
        batch, num_votes, _ = votes.shape
        if self.sampling == "random":
            return torch.randint(num_votes, (batch, min(self.num_proposals, num_votes)), device=votes.device)
        if self.sampling == "vote_fps":
            return farthest_order(votes, min(self.num_proposals, num_votes))
        # The first vote of each seed; published as if every seed had one.
        return farthest_order(seeds, min(self.num_proposals, seeds.shape[1])) * (num_votes // seeds.shape[1])
