"""Contrast of the points of an object with the pixels that show them.

Source: Tran et al. 2022, "Self-Supervised Learning with Multi-View Rendering for 3D Point Cloud Analysis",
arXiv:2210.15904, and its published code: the NT-Xent loss of arXiv:2002.05709 within each object.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 2**25  # similarities of a chunk of objects on a GPU: 128 MiB of float32
MIN_TEMPERATURE = 0.003  # below it exp(-2 / temperature) is 0 even in float64
_FLOAT32_TEMPERATURE = 0.03  # below it that underflows in float32


def pixel_point_losses(
    points: Tensor, pixels: Tensor, temperature: float = 0.5, same_point: Tensor | None = None
) -> Tensor:
    """Compute NT-Xent between the points and the pixels of each object, which see no other object.

    Row i of an object's points and row i of its pixels are partners; its other 2P - 2 rows are negatives. Rows are
    normalised to unit length here. Computed in at least float32, also under autocast.

    Args:
        points, pixels: (B, P, D) features of P pairs of each of B objects, P >= 2.
        temperature: at least MIN_TEMPERATURE, dimensionless; published: 0.5.
        same_point: (B, P) numbers of the points: rows of one number, of either kind, are then no negatives of each
            other. None, as published, takes them for negatives.
    Returns:
        (B,) mean over the object's 2P rows, in nats; log(2P - 1) where all its rows coincide.
    Raises:
        ValueError: temperature too low, shapes differ, or a single pair (it has no negatives).
    """
    if not temperature >= MIN_TEMPERATURE:
        raise ValueError(f"--temperature must be at least {MIN_TEMPERATURE}, got {temperature}")
    if points.shape != pixels.shape or points.ndim != 3:
        raise ValueError(f"expected two (B, P, D) of one shape, got {tuple(points.shape)} and {tuple(pixels.shape)}")
    if points.shape[1] < 2:
        raise ValueError("a contrast needs at least 2 pairs of each object; raise --pairs")
    with torch.autocast(points.device.type, enabled=False):
        kind = torch.promote_types(torch.promote_types(points.dtype, pixels.dtype), torch.float32)
        kind = torch.float64 if temperature < _FLOAT32_TEMPERATURE else kind
        rows = F.normalize(torch.cat([points.to(kind), pixels.to(kind)], dim=1), dim=2)  # (B, 2P, D)
        return _ObjectLosses.apply(rows, temperature, same_point)


class _ObjectLosses(torch.autograd.Function):
    """NT-Xent of each object; the gradient is made in the forward pass, while an object's similarities are at hand.

    No row is longer than 1, so exp(s - 1 / temperature) <= 1 needs no maximum of each row, and the matrix E of these
    is symmetric. With t the sums of its rows, both gradients of a similarity add up to E_ij (1 / t_i + 1 / t_j): one
    product with E gives the gradient of all rows.
    """

    @staticmethod
    def forward(ctx, rows, temperature, same_point):
        size = 1 if rows.device.type == "cpu" else max(1, CHUNK // rows.shape[1] ** 2)  # one fits a CPU's cache
        points = [None] * len(rows) if same_point is None else same_point.split(size)
        needs_gradient = ctx.needs_input_grad[0]
        losses, gradients = [], []
        for block, numbers in zip(rows.split(size), points, strict=False):
            loss, gradient = _contrast(block, temperature, numbers, needs_gradient)
            losses.append(loss)
            gradients.append(gradient)
        if needs_gradient:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (gradient,) = ctx.saved_tensors
        return gradient * grad[:, None, None], None, None


def _contrast(
    rows: Tensor, temperature: float, same_point: Tensor | None, needs_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the loss of each object and its gradient. Shape: (B, 2P, D) -> (B,), (B, 2P, D)."""
    batch, num_rows, _ = rows.shape
    own = torch.arange(num_rows, device=rows.device)
    partner = rows.roll(num_rows // 2, dims=1)
    similarity = rows.new_full((1, 1, 1), -1 / temperature).expand(batch, num_rows, num_rows)
    exps = torch.baddbmm(similarity, rows, rows.transpose(1, 2), alpha=1 / temperature).exp_()  # (B, 2P, 2P)
    exps[:, own, own] = 0
    if same_point is not None:
        twice = torch.cat([same_point, same_point], dim=1)
        hidden = twice[:, :, None] == twice[:, None, :]
        hidden[:, own, own.roll(num_rows // 2)] = False
        exps.masked_fill_(hidden, 0)
    total = exps.sum(dim=2)  # (B, 2P)
    positive = (rows * partner).sum(dim=2) / temperature
    loss = (total.log() + 1 / temperature - positive).mean(dim=1)
    if not needs_gradient:
        return loss, None
    share = total.reciprocal_()
    exps.mul_(share[:, :, None] + share[:, None, :])
    gradient = torch.baddbmm(partner, exps, rows, beta=-2)
    return loss, gradient.div_(temperature * num_rows)
