"""Contrast of the points of an object with the pixels that show them.

Source: Tran et al. 2022, "Self-Supervised Learning with Multi-View Rendering for 3D Point Cloud Analysis",
arXiv:2210.15904, and its published code: the NT-Xent loss of arXiv:2002.05709 within each object.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 2**25  # similarities of a chunk of objects on a GPU: 128 MiB of float32


def pixel_point_losses(
    points: Tensor, pixels: Tensor, temperature: float = 0.5, same_point: Tensor | None = None
) -> Tensor:
    """Compute NT-Xent between the points and the pixels of each object, which see no other object.

    Row i of an object's points and row i of its pixels are partners; its other 2P - 2 rows are negatives. Rows are
    normalised to unit length here. Computed in at least float32, also under autocast.

    Args:
        points, pixels: (B, P, D) features of P pairs of each of B objects, P >= 2.
        temperature: > 0, dimensionless; published: 0.5.
        same_point: (B, P) numbers of the points: rows of one number, of either kind, are then no negatives of each
            other. None, as published, takes them for negatives.
    Returns:
        (B,) mean over the object's 2P rows, in nats; log(2P - 1) where all its rows coincide.
    Raises:
        ValueError: temperature not positive, shapes differ, or a single pair (it has no negatives).
    """
    if temperature <= 0:
        raise ValueError(f"--temperature must be > 0, got {temperature}")
    if points.shape != pixels.shape or points.ndim != 3:
        raise ValueError(f"expected two (B, P, D) of one shape, got {tuple(points.shape)} and {tuple(pixels.shape)}")
    if points.shape[1] < 2:
        raise ValueError("a contrast needs at least 2 pairs of each object; raise --pairs")
    with torch.autocast(points.device.type, enabled=False):
        kind = torch.promote_types(torch.promote_types(points.dtype, pixels.dtype), torch.float32)
        rows = F.normalize(torch.cat([points.to(kind), pixels.to(kind)], dim=1), dim=2)  # (B, 2P, D)
        return _ObjectLosses.apply(rows, temperature, same_point)


class _ObjectLosses(torch.autograd.Function):
    """NT-Xent of each object; the gradient is made in the forward pass, while an object's similarities are at hand.

    They fill 2P x 2P numbers an object, and two products with them suffice instead of three: S is symmetric, so with
    G the gradient at S the rows receive (G + G^T) rows.
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
    num_rows = rows.shape[1]
    similarity = torch.bmm(rows, rows.transpose(1, 2)).div_(temperature)  # (B, 2P, 2P)
    own = torch.arange(num_rows, device=rows.device)
    partner = own.roll(num_rows // 2)
    if same_point is not None:
        twice = torch.cat([same_point, same_point], dim=1)
        hidden = twice[:, :, None] == twice[:, None, :]
        hidden[:, own, partner] = False
        similarity.masked_fill_(hidden, -torch.inf)
    similarity[:, own, own] = -torch.inf
    positive = similarity[:, own, partner]  # (B, 2P), a copy
    largest = similarity.amax(dim=2, keepdim=True)
    share = similarity.sub_(largest).exp_()
    total = share.sum(dim=2, keepdim=True)
    loss = (total.log() + largest).squeeze(2).sub(positive).mean(dim=1)
    if not needs_gradient:
        return loss, None
    share.div_(total)
    share[:, own, partner] -= 1
    gradient = torch.bmm(share, rows).baddbmm_(share.transpose(1, 2), rows)
    return loss, gradient.div_(temperature * num_rows)
