"""Normalised temperature-scaled cross-entropy.

Source: Chen et al. 2020, SimCLR, arXiv:2002.05709, eq. 1; the form of lightly's NTXentLoss that CrossPoint uses.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.distributed import gather_rows, get_rank, get_world_size


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.1) -> Tensor:
    """Compute the cross-entropy of finding each row's partner among all other rows of both sets, in both directions.

    Row i of `a` and row i of `b` are partners; the other 2B - 2 rows, of the same and of the other set, are
    negatives. Rows are normalised to unit length here. Computed in at least float32, also under autocast.

    With several ranks the negatives come from all of them, and the result is the mean over this rank's own rows. The
    mean over ranks, of the loss and of its gradients, is that of one process with all rows.

    Args:
        a, b: (B, D) embeddings, B the same on every rank and at least 2 over all ranks.
        temperature: > 0, dimensionless; CrossPoint uses 0.1.
    Returns:
        Scalar, mean over the 2B rows, in nats; log(2B - 1) when all rows coincide.
    Raises:
        ValueError: temperature not positive, shapes differ, or a single pair (it has no negatives).
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"expected two (B, D) embeddings of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    num_own = len(a)
    num_pairs = num_own * get_world_size()
    if num_pairs < 2:
        raise ValueError("a contrastive batch needs at least 2 samples; raise --batch_size")
    with torch.autocast(a.device.type, enabled=False):
        rows = torch.cat([a, b])
        rows = F.normalize(rows if rows.dtype == torch.float64 else rows.float(), dim=1)  # (2B, D)
        all_rows = gather_rows(rows).unflatten(0, (-1, 2, num_own)).transpose(0, 1).flatten(0, 2)  # all a, then all b
        number = torch.arange(num_own, device=rows.device) + get_rank() * num_own
        own = torch.cat([number, number + num_pairs])  # (2B,): places of this rank's rows in all_rows
        similarity = (rows @ all_rows.T / temperature).scatter(1, own[:, None], -torch.inf)
        return F.cross_entropy(similarity, own.roll(num_own))
