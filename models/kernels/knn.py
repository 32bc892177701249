"""Forms of the neighbour search on CUDA, and which of them is used."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.kernels import can_run

# One of FORMS. Change it when `bash benchmarks/gpu.sh` has measured another to be faster (table "knn" of its JSON).
FORM = "topk"
SCORE_BYTES = 2**28  # of the N x N scores of the clouds that are searched at once
GROUP = 8  # columns from which the grouped form takes the minimum first


def nearest(x: Tensor, k: int, form: str | None = None) -> Tensor:
    """k nearest points of the same cloud, itself included, nearest first. Shape: (B, N, C) -> (B, N, K) int64.

    Args:
        x: finite float32 or float64; the caller has switched autocast off.
        k: at most N.
        form: a key of FORMS; None takes FORM, or "cdist" where the user lets float32 products round to TF32.
            "topk" takes the place of "tiled" for float64, which that does not know, and where triton does not run.
    """
    form = form or _default_form(x)
    if form == "tiled" and x.dtype != torch.float32:
        form = "topk"
    return FORMS[form](x - x.mean(dim=1, keepdim=True), k)


def _default_form(x: Tensor) -> str:
    if FORM == "tiled" and can_run(x):
        return FORM
    if x.dtype == torch.float32 and _allows_tf32():
        return "cdist"
    return "topk" if FORM == "tiled" else FORM


def _allows_tf32() -> bool:
    """Whether CUDA's float32 products may have TF32's 10 bits, with which other neighbours would be the nearest."""
    matmul = torch.backends.cuda.matmul
    return matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32


def _by_chunks(search: Callable[[Tensor, Tensor, int], Tensor], x: Tensor, k: int) -> Tensor:
    """Search as many clouds at once as SCORE_BYTES allows. `search` takes clouds, half their squared norms, and k."""
    half_norm = 0.5 * (x * x).sum(dim=-1)
    size = max(SCORE_BYTES // (x.shape[1] ** 2 * x.element_size()), 1)
    parts = zip(x.split(size), half_norm.split(size), strict=True)
    return torch.cat([search(clouds, norms, k) for clouds, norms in parts])


def _topk(x: Tensor, half_norm: Tensor, k: int) -> Tensor:
    score = torch.baddbmm(half_norm[:, None], x, x.transpose(1, 2), alpha=-1)  # |y|^2/2 - xy orders as |x - y|^2
    return score.topk(k, dim=-1, largest=False).indices


def _grouped(x: Tensor, half_norm: Tensor, k: int) -> Tensor:
    """The k smallest of a row are in the k groups with the smallest minima: two small selections for a large one."""
    num_points = x.shape[1]
    if num_points < 2 * k * GROUP:
        return _topk(x, half_norm, k)
    padding = -num_points % GROUP
    targets = F.pad(x, (0, 0, 0, padding))
    score = torch.baddbmm(F.pad(half_norm, (0, padding), value=torch.inf)[:, None], x, targets.mT, alpha=-1)
    num_groups = targets.shape[1] // GROUP  # column c is in group c % num_groups
    minima = score.unflatten(2, (GROUP, num_groups)).amin(dim=2)
    groups = minima.topk(k, dim=-1, largest=False, sorted=False).indices  # (B, N, K)
    first = torch.arange(0, targets.shape[1], num_groups, device=x.device)
    members = (groups[:, :, None] + first[:, None]).flatten(2)  # (B, N, GROUP * K)
    return members.gather(2, score.gather(2, members).topk(k, dim=-1, largest=False).indices)


def _cdist(x: Tensor, _half_norm: Tensor, k: int) -> Tensor:
    """Distances one by one, without a product of matrices."""
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(k, dim=-1, largest=False).indices


def _tiled(x: Tensor, k: int) -> Tensor:
    from models.kernels.knn_tiled import nearest_tiled  # the only form that needs triton

    return nearest_tiled(x, k)


FORMS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "topk": lambda x, k: _by_chunks(_topk, x, k),
    "grouped": lambda x, k: _by_chunks(_grouped, x, k),
    "cdist": lambda x, k: _by_chunks(_cdist, x, k),
    "tiled": _tiled,
}
