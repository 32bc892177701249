"""Cross-entropy with label smoothing spread over the other classes."""

import torch.nn.functional as F
from torch import Tensor


def smoothed_cross_entropy(logits: Tensor, label: Tensor, epsilon: float = 0.2) -> Tensor:
    """Compute cross-entropy against 1 - epsilon on the true class and epsilon / (Y - 1) on each other class.

    torch spreads its `label_smoothing` over all Y classes, the true one included; scaled by Y / (Y - 1) it gives every
    class the same share as here.

    Args:
        logits: (..., Y), Y >= 2.
        label: (...) int64 in [0, Y).
        epsilon: 0 <= epsilon <= (Y - 1) / Y.
    Returns:
        Scalar, mean over all entries of `label`, in nats.
    Raises:
        ValueError: shapes do not fit, or epsilon is out of range.
    Source: the loss of DGCNN (Wang et al. 2019, arXiv:1801.07829), which CrossPoint fine-tunes with.
    """
    num_classes = logits.shape[-1]
    if logits.shape[:-1] != label.shape or num_classes < 2:
        raise ValueError(f"expected logits (..., Y) and labels (...), got {tuple(logits.shape)}, {tuple(label.shape)}")
    if not 0 <= epsilon <= (num_classes - 1) / num_classes:
        raise ValueError(f"epsilon must lie between 0 and {(num_classes - 1) / num_classes:.3f}, got {epsilon}")
    smoothing = epsilon * num_classes / (num_classes - 1)
    return F.cross_entropy(logits.reshape(-1, num_classes), label.flatten(), label_smoothing=min(smoothing, 1.0))
