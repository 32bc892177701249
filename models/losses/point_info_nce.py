"""Contrast of matched points of two clouds.

Source: PointInfoNCE of Xie et al. 2020 (PointContrast), arXiv:2007.10985.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.distributed import gather_rows, get_rank, get_world_size


def point_info_nce(queries: Tensor, keys: Tensor, is_match: Tensor, temperature: float = 0.07) -> Tensor:
    """Compute the cross-entropy of finding each query's partner among the keys of all matches.

    Row i of the queries and row i of the keys are partners where `is_match`; other rows do not take part. Rows are
    normalised to unit length here. Computed in at least float32, also under autocast.

    With several ranks keys come from all of them, and the mean over ranks, of the loss and of its gradients, is that of
    one process with all rows.

    Args:
        queries, keys: (P, D), P the same on every rank.
        is_match: (P,) bool.
        temperature: > 0, dimensionless; published: 0.07.
    Returns:
        Scalar, mean over all matches, in nats; log of their number where all rows coincide.
    Raises:
        ValueError: temperature not positive, shapes differ, or fewer than two matches (they have no negatives).
    """
    if not temperature > 0:
        raise ValueError(f"--temperature must be > 0, got {temperature}")
    if queries.shape != keys.shape or queries.ndim != 2 or is_match.shape != queries.shape[:1]:
        raise ValueError(
            f"expected two (P, D) and a (P,), got {tuple(queries.shape)}, {tuple(keys.shape)}, {tuple(is_match.shape)}"
        )
    with torch.autocast(queries.device.type, enabled=False):
        kind = torch.promote_types(torch.promote_types(queries.dtype, keys.dtype), torch.float32)
        queries, keys = F.normalize(queries.to(kind), dim=1), F.normalize(keys.to(kind), dim=1)
        is_key = gather_rows(is_match.to(kind)) > 0
        count = int(is_key.sum())
        if count < 2:
            raise ValueError(f"a contrast needs at least 2 matches, got {count}")
        logits = queries[is_match] @ gather_rows(keys).T / temperature
        logits = logits.masked_fill(~is_key, -torch.inf)
        partner = torch.arange(len(queries), device=queries.device)[is_match] + get_rank() * len(queries)
        return F.cross_entropy(logits, partner, reduction="sum") * (get_world_size() / count)
