"""Seeds vote for the centre of the object they belong to.

Source: Qi et al. 2019, arXiv:1904.09664.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.local_encoder import shared_layer
from models.layers.row_norm import linear


class VotingModule(nn.Module):
    """Two layers with BatchNorm, and one to an offset and a change of the feature. Parameters are named as published.

    Args:
        channels: C of the seeds.
        vote_factor: F, votes of each seed.
    """

    def __init__(self, channels: int, vote_factor: int = 1):
        super().__init__()
        self.vote_factor = vote_factor
        self.conv1 = nn.Conv1d(channels, channels, 1)
        self.conv2 = nn.Conv1d(channels, channels, 1)
        self.conv3 = nn.Conv1d(channels, (3 + channels) * vote_factor, 1)
        self.bn1, self.bn2 = nn.BatchNorm1d(channels), nn.BatchNorm1d(channels)

    def forward(self, position: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return votes, those of one seed in a row, and their features at unit length.

        Shape: (B, S, 3), (B, S, C) -> (B, S * F, 3), (B, S * F, C).
        """
        rows = shared_layer(features.flatten(0, 1), self.conv1, self.bn1)
        rows = shared_layer(rows, self.conv2, self.bn2)
        rows = linear(rows, self.conv3.weight.flatten(1), self.conv3.bias)
        change = rows.view(*features.shape[:2], self.vote_factor, -1)  # (B, S, F, 3 + C)
        votes = position[:, :, None] + change[..., :3]
        features = F.normalize(features[:, :, None] + change[..., 3:], dim=-1)
        return votes.flatten(1, 2), features.flatten(1, 2)
