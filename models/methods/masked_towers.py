"""Towers that see a part of their tokens and tell the rest: CLIP's vision transformer, and Point-BERT.

Letters: B shapes, T tokens, E width of a token, D width of the text space.
Source: MUST (Li et al. 2022, arXiv:2206.02967) for images, CrossMoST (arXiv:2404.10146) for both.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.pointbert import PointBERT
from models.layers.grouping import gather
from models.text.clip_model import ClipImages

LEAST_MASKED, MOST_MASKED = 0.3, 0.4  # share of a cloud's groups
_DEVIATION = 0.02  # of the first mask tokens


class Seen(NamedTuple):
    """The feature (B, feature_dim) of inputs that were seen in part, and two scalars.

    `masked` is the mean absolute error of what was told of the hidden tokens; `local` the mean squared distance, in the
    text space, between the direction of the class token and those of the hidden tokens.
    """

    feature: Tensor
    masked: Tensor
    local: Tensor


def mask_grid(images: nn.Module) -> int | None:
    """Return the side of the grid of patches of an image tower that can be masked; None for one without such patches.

    CLIP's own vision transformers can, ResNets cannot, nor can timm's transformers, which ULIP's files hold.
    """
    visual = getattr(images, "visual", None)
    can = isinstance(images, ClipImages) and hasattr(visual, "class_embedding") and visual.attn_pool is None
    return visual.grid_size[0] if can and visual.pool_type == "tok" else None


def mask_groups(centres: Tensor, draws: Tensor) -> Tensor:
    """Hide the groups nearest to a centre of each cloud, its own among them: int(r T) of them, r from 0.3 to 0.4.

    Args:
        centres: (B, T, 3).
        draws: (B, 2) numbers in [0, 1): which centre, and where r lies in its range.
    Returns:
        (B, T) bool, True where hidden.
    """
    size = centres.shape[1]
    draws = draws.double()
    first = (draws[:, 0] * size).long().clamp_max(size - 1)
    ratio = LEAST_MASKED + (MOST_MASKED - LEAST_MASKED) * draws[:, 1]
    distance = (centres - gather(centres, first[:, None])).square().sum(dim=-1)
    rank = distance.argsort(dim=1, stable=True).argsort(dim=1)
    return rank < (ratio * size).long()[:, None]


class MaskedImages(nn.Module):
    """Mask token, norm of patches and decoder of a CLIP image tower.

    Args:
        images: the tower, for its sizes; `mask_grid` gives its grid.
        is_published: divide the error by the number of tokens instead of the channels of a pixel, as CrossMoST's code
            does: a term 66 times weaker for ViT-B/16.
    """

    def __init__(self, images: ClipImages, *, is_published: bool = False):
        super().__init__()
        width, self.patch = images.feature_dim, images.visual.patch_size[0]
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * _DEVIATION)
        self.norm = nn.LayerNorm(width)
        self.decoder = nn.Sequential(nn.Conv2d(width, 3 * self.patch**2, 1), nn.PixelShuffle(self.patch))
        self.is_published = is_published

    def forward(self, tower: ClipImages, projection: nn.Linear, images: Tensor, mask: Tensor) -> Seen:
        """Look at images whose masked patches are hidden.

        Args:
            tower, projection: of the student.
            images: (B, 3, S, S), ImageNet-normalised.
            mask: (B, G, G) bool, True where hidden; as many in every image.
        """
        visual, pixels = tower.visual, images * tower.factor + tower.shift
        x = visual.conv1(pixels).flatten(2).transpose(1, 2)  # (B, T, E)
        x = torch.where(mask.flatten(1)[..., None], self.mask_token.to(x.dtype), x)
        first = visual.class_embedding.to(x.dtype).expand(len(x), 1, -1)
        x = torch.cat([first, x], dim=1) + visual.positional_embedding.to(x.dtype)
        x = visual.transformer(visual.ln_pre(x))
        feature, patches = visual.ln_post(x[:, 0]), self.norm(x[:, 1:])
        told = self.decoder(patches.transpose(1, 2).unflatten(2, mask.shape[1:]))
        is_hidden = mask.repeat_interleave(self.patch, 1).repeat_interleave(self.patch, 2)[:, None]  # (B, 1, S, S)
        error = (told.float() - pixels).abs().sum(dim=1, keepdim=True)
        masked = _mean(error.flatten(1), is_hidden.flatten(1)) / (x.shape[1] if self.is_published else 3)
        return Seen(feature, masked, _local(projection(feature), projection(patches), mask.flatten(1)))


class MaskedGroups(nn.Module):
    """Mask token, head and projection of Point-BERT's groups.

    Args:
        encoder: the tower, for its sizes.
        text_dim: D.
        is_published: CrossMoST's literal term, whose target is the mask token itself, so that it teaches no geometry;
            summed over the width of a token and divided by the batch.
    """

    def __init__(self, encoder: PointBERT, text_dim: int, *, is_published: bool = False):
        super().__init__()
        width = encoder.emb_dims
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * _DEVIATION)
        self.head = nn.Linear(width, width)
        self.projection = nn.Parameter(torch.randn(width, text_dim))
        self.is_published = is_published

    def forward(self, encoder: PointBERT, points: Tensor, draws: Tensor) -> Seen:
        """Look at clouds a part of whose groups is hidden. Shape: points (B, N, 3), draws (B, 2) of `mask_groups`."""
        centres, tokens = encoder.tokens(points)
        mask = mask_groups(centres, draws)
        shown = torch.where(mask[..., None], self.mask_token.to(tokens.dtype), tokens)
        x = encoder.transform(shown, centres)
        feature = torch.cat([x[:, 0], x[:, 1:].amax(dim=1)], dim=-1)
        target = shown if self.is_published else tokens.detach()
        error = (self.head(x[:, 1:]).float() - target.float()).abs()
        if self.is_published:
            masked = torch.where(mask[..., None], error, 0).sum() / mask.sum().clamp_min(1) / len(points)
        else:
            masked = _mean(error.mean(dim=-1), mask)
        return Seen(feature, masked, _local(x[:, 0] @ self.projection, x[:, 1:] @ self.projection, mask))


def _local(whole: Tensor, parts: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean squared distance of directions at hidden tokens. Shape: (B, D), (B, T, D), (B, T) -> scalar."""
    whole, parts = (F.normalize(rows.float(), dim=-1) for rows in (whole, parts))
    return _mean((parts - whole[:, None]).square().sum(dim=-1), mask)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average values where masked over each sample, then over samples, so that each counts the same on any rank."""
    return (torch.where(mask, values, 0).sum(dim=1) / mask.sum(dim=1).clamp_min(1)).mean()
