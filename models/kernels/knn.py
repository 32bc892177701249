"""Neighbour search on CUDA: its forms, and the choice between them.

"topk" is the default until `bash benchmarks/gpu.sh` has timed it against "tiled" on a GPU (table "knn" of its JSON).
The loser goes then; "cdist" stays, as the fallback where float32 products may be rounded to TF32.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from models.kernels import can_run

FORM = "topk"  # one of FORMS
SCORE_BYTES = 2**28  # of the N x N scores of the clouds that are searched at once


def nearest(x: Tensor, k: int, form: str | None = None) -> Tensor:
    """Return the k nearest points of each cloud, itself included, in order. Shape: (B, N, C) -> (B, N, K) int64.

    Args:
        x: finite float32 or float64, outside autocast.
        k: at most N.
        form: a key of FORMS; None takes FORM, or "cdist" where the user lets float32 products round to TF32. "topk"
            replaces "tiled" for float64, which the kernel does not support, and where triton does not run.
    """
    form = form or _default_form(x)
    if form == "tiled" and x.dtype != torch.float32:
        form = "topk"
    return FORMS[form](x - x.mean(dim=1, keepdim=True), k)


def _default_form(x: Tensor) -> str:
    if FORM == "tiled" and can_run(x):
        return FORM
    if x.dtype == torch.float32 and allows_tf32():
        return "cdist"
    return "topk" if FORM == "tiled" else FORM


def allows_tf32() -> bool:
    """Whether CUDA may round float32 products to TF32's 10 bits, which would select other neighbours."""
    matmul = torch.backends.cuda.matmul
    return matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32


def _by_chunks(search: Callable[[Tensor, Tensor, int], Tensor], x: Tensor, k: int) -> Tensor:
    """Apply `search`, of clouds, half their squared norms and k, to as many clouds at once as SCORE_BYTES allows."""
    half_norm = 0.5 * (x * x).sum(dim=-1)
    size = max(SCORE_BYTES // (x.shape[1] ** 2 * x.element_size()), 1)
    parts = zip(x.split(size), half_norm.split(size), strict=True)
    return torch.cat([search(clouds, norms, k) for clouds, norms in parts])


def _topk(x: Tensor, half_norm: Tensor, k: int) -> Tensor:
    score = torch.baddbmm(half_norm[:, None], x, x.transpose(1, 2), alpha=-1)  # |y|^2/2 - xy orders as |x - y|^2
    return score.topk(k, dim=-1, largest=False).indices


def _cdist(x: Tensor, _half_norm: Tensor, k: int) -> Tensor:
    """Search by distances computed without a matrix product."""
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(k, dim=-1, largest=False).indices


def _tiled(x: Tensor, k: int) -> Tensor:
    from models.kernels.knn_tiled import nearest_tiled  # the only form that needs triton

    return nearest_tiled(x, k)


FORMS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "topk": lambda x, k: _by_chunks(_topk, x, k),
    "cdist": lambda x, k: _by_chunks(_cdist, x, k),
    "tiled": _tiled,
}
