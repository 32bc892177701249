"""Contrast of two modalities of the same samples, in both directions, over all processes.

Source: CLIP (Radford et al. 2021, arXiv:2103.00020); ULIP (Xue et al. 2023, arXiv:2212.05171), whose code gathers
without gradient, so that on several processes half of its loss trains nothing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.distributed import gather_rows, get_rank, get_world_size


def matching_loss(a: Tensor, b: Tensor, scale: Tensor, kind: Tensor | None = None) -> Tensor:
    """Compute the mean of both cross-entropies of finding each row's partner among all rows of the other set.

    Row i of `a` and row i of `b` are partners. With several ranks the others come from all of them, with gradient, and
    the result is the mean over this rank's rows: the mean over ranks is that of one process with all rows.

    Args:
        a, b: (B, D) rows of unit length, B the same on every rank and at least 2 over all ranks.
        scale: scalar, the factor of similarities, which an exponential keeps positive.
        kind: (B,) int64; rows of one kind are no negatives of each other. None takes all for negatives, as published.
    Returns:
        Scalar, in nats; log(B) over all ranks when all rows coincide and `kind` is None.
    Raises:
        ValueError: shapes differ, or a single pair (it has no negatives).
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"expected two (B, D) embeddings of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    if len(a) * get_world_size() < 2:
        raise ValueError("a contrastive batch needs at least 2 samples; raise --batch_size")
    own = torch.arange(len(a), device=a.device) + get_rank() * len(a)
    with torch.autocast(a.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
        a, b, scale = a.to(dtype), b.to(dtype), scale.to(dtype)
        logits = torch.stack([a @ gather_rows(b).T, b @ gather_rows(a).T]) * scale  # (2, B, all)
        if kind is not None:
            hidden = (kind[:, None] == gather_rows(kind)).scatter(1, own[:, None], False)
            logits = logits.masked_fill(hidden, -torch.inf)
        return F.cross_entropy(logits.flatten(0, 1), own.repeat(2))
