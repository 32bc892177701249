"""Point-BERT's transformer on groups of points.

Source: Yu et al. 2022, arXiv:2111.14819; layers and their names as in its code (Julie-tang00/Point-BERT), which ULIP
(arXiv:2212.05171) and CrossMoST (arXiv:2404.10146) took over.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.grouping import gather, nearest_points
from models.layers.local_encoder import LocalEncoder, group_max, group_offsets, shared_layer
from models.layers.row_norm import linear, norm_act

DEPTH, HEADS, MEMBERS = 12, 6, 32
DROP_PATH = 0.1  # of the last block, growing linearly from 0


class GroupEncoder(nn.Module):
    """A small PointNet of each group. Shape: (B, S, K, 3) -> (B, S, 256)."""

    def __init__(self, width: int = 256):
        super().__init__()
        first = (nn.Conv1d(3, 128, 1), nn.BatchNorm1d(128), nn.ReLU(), nn.Conv1d(128, 256, 1))
        second = (nn.Conv1d(512, 512, 1), nn.BatchNorm1d(512), nn.ReLU(), nn.Conv1d(512, width, 1))
        self.first_conv, self.second_conv = nn.Sequential(*first), nn.Sequential(*second)

    def forward(self, offsets: Tensor) -> Tensor:
        size = offsets.shape[2]
        conv, norm, _, last = self.first_conv
        x = linear(shared_layer(offsets.flatten(0, 2), conv, norm), last.weight.flatten(1), last.bias)
        conv, norm, _, last = self.second_conv
        of_group, of_member = conv.weight.flatten(1).chunk(2, dim=1)
        of_group = F.linear(group_max(x, size), of_group, conv.bias)
        x = linear(x, of_member) + of_group.repeat_interleave(size, dim=0)
        x = linear(norm_act(x, norm, 0.0)[0], last.weight.flatten(1), last.bias)
        return group_max(x, size).unflatten(0, offsets.shape[:2])


class Attention(nn.Module):
    """Self-attention. Shape: (B, T, C) -> (B, T, C)."""

    def __init__(self, width: int):
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # (3, B, heads, T, C / heads)
        return self.proj(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear maps with GELU between. Shape: (..., C) -> (..., C)."""

    def __init__(self, width: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block, whose two branches are left out of a cloud at random in train mode."""

    def __init__(self, width: int, drop_path: float):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._dropped(self.attn(self.norm1(x)))
        return x + self._dropped(self.mlp(self.norm2(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        if not (self.training and self.drop_path):
            return x
        keep = 1 - self.drop_path
        return x * (torch.rand(len(x), 1, 1, device=x.device) < keep).to(x.dtype) / keep


class Blocks(nn.Module):
    """All blocks; the position is added before each. Shape: (B, T, C), (B, T, C) -> (B, T, C)."""

    def __init__(self, width: int):
        super().__init__()
        rates = [DROP_PATH * number / (DEPTH - 1) for number in range(DEPTH)]
        self.blocks = nn.ModuleList(Block(width, rate) for rate in rates)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x + position)
        return x


class PointBERT(LocalEncoder):
    """Tokens of 64 groups of the 32 nearest points, 12 transformer blocks, class token and maximum over the tokens.

    Shape: points (B, N, 3) -> feature (B, 2 * emb_dims), N >= 1. Clouds should be of radius 1, as in pre-training.

    Args:
        emb_dims: width of a token, a multiple of the 6 heads.
    Raises:
        ValueError: emb_dims is no multiple of 6; also as `LocalEncoder`.
    """

    num_groups = 64

    def __init__(self, emb_dims: int = 384):
        super().__init__()
        if emb_dims % HEADS:
            raise ValueError(f"--emb_dims {emb_dims}: Point-BERT has {HEADS} heads, pass a multiple; published: 384")
        self.emb_dims, self.feature_dim = emb_dims, 2 * emb_dims
        self.encoder = GroupEncoder()
        self.reduce_dim = nn.Linear(256, emb_dims)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, emb_dims))
        self.cls_pos = nn.Parameter(torch.randn(1, 1, emb_dims))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, emb_dims))
        self.blocks = Blocks(emb_dims)
        self.norm = nn.LayerNorm(emb_dims)

    def local(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return centres, their tokens and the feature of the cloud, see `LocalEncoder`."""
        centres, tokens = self.tokens(points)
        x = self.transform(tokens, centres)
        return centres, x[:, 1:], torch.cat([x[:, 0], x[:, 1:].amax(dim=1)], dim=-1)

    def tokens(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return centres and a token of each group. Shape: (B, N, 3) -> (B, S, 3), (B, S, emb_dims)."""
        centres = gather(points, self.sample(points, self.num_groups))
        _, index = nearest_points(points, centres, MEMBERS)
        return centres, self.reduce_dim(self.encoder(group_offsets(points, centres, index)))

    def transform(self, tokens: Tensor, centres: Tensor) -> Tensor:
        """Return class token and tokens after all blocks. Shape: (B, S, E), (B, S, 3) -> (B, 1 + S, E)."""
        classes, positions = (part.expand(len(tokens), -1, -1) for part in (self.cls_token, self.cls_pos))
        positions = torch.cat([positions, self.pos_embed(centres)], dim=1)
        return self.norm(self.blocks(torch.cat([classes.to(tokens.dtype), tokens], dim=1), positions))


class PointBERT512(PointBERT):
    """Point-BERT on 512 groups, as ULIP has it; the weights are the same."""

    num_groups = 512
