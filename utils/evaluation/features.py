"""Features of a frozen encoder: the one loop behind every linear, nearest-neighbour and few-shot evaluation."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from datasets.precision import is_points_last
from models.distributed import get_world_size
from utils.processes.collectives import gather_rank_rows, rank_rows
from utils.run.log import is_terminal


def extract_features(
    encoder: nn.Module,
    points: np.ndarray | Tensor,
    *,
    batch_size: int = 32,
    device: torch.device | str | None = None,
    progress: str = "",
) -> np.ndarray:
    """Compute the feature of every cloud, in order, with the encoder in eval mode and without gradients.

    Restores every module's train/eval mode afterwards, also after an error.

    Args:
        encoder: points (B, N, 3) -> feature (B, D).
        points: (M, N, 3), M >= 1, finite.
        batch_size: clouds per forward pass.
        device: the encoder is moved there and stays; None leaves it where it is.
        progress: name of a progress bar, shown on terminals; "" for none.
    Returns:
        (M, D) float32.
    Raises:
        ValueError: no cloud, another shape, or a point or feature that is not finite; names the first such cloud.
    """
    if batch_size < 1:
        raise ValueError(f"a batch must hold at least 1 cloud, got batch size {batch_size}")
    clouds = as_clouds(points)
    if device is not None:
        encoder.to(device)
    where = next(encoder.parameters()).device
    features = []
    starts = range(0, len(clouds), batch_size)
    with eval_mode(encoder), torch.inference_mode():
        for start in tqdm(starts, desc=progress, leave=False, disable=not progress or not is_terminal()):
            batch = clouds[start : start + batch_size].to(where)
            features.append(_forward(encoder, batch, start))  # (B, D)
    return torch.cat(features).numpy()


def extract_together(encoder: nn.Module, points: np.ndarray | Tensor, **options) -> np.ndarray:
    """Run `extract_features` with the clouds divided among the ranks; return all features on every rank.

    Every rank must call it. With more ranks than clouds each rank computes all of them.
    """
    rows = rank_rows(len(points))
    if len(points) < get_world_size() or len(rows) == len(points):
        return extract_features(encoder, points, **options)
    own = extract_features(encoder, points[rows.start : rows.stop], **options)
    return gather_rank_rows(torch.from_numpy(own), len(points)).numpy()


def as_clouds(points: np.ndarray | Tensor) -> Tensor:
    """Return clouds (M, N, 3) as a float32 tensor without gradient, on the device they are on.

    Raises:
        ValueError: no cloud, another shape, or a point that is not finite; names the first such cloud.
    """
    if isinstance(points, np.ndarray):  # torch takes no reversed axes and no foreign byte order
        points = np.ascontiguousarray(points, points.dtype.newbyteorder("="))
    clouds = torch.as_tensor(points, dtype=torch.float32).detach()
    if clouds.ndim != 3 or clouds.shape[2] != 3 or 0 in clouds.shape:
        last = "; put points first, for example with swapaxes(1, 2)" if is_points_last(clouds.shape) else ""
        raise ValueError(f"expected clouds (M, N, 3) with M, N >= 1, got {tuple(clouds.shape)}{last}")
    check_finite(clouds, 0, "point")
    return clouds


def _forward(encoder: nn.Module, batch: Tensor, start: int) -> Tensor:
    """Return the features (B, D) of one batch on the CPU; name the clouds of the batch in errors."""
    try:
        feature = encoder(batch)
    except ValueError as error:
        raise ValueError(f"clouds {start} to {start + len(batch) - 1}: {error}") from error
    feature = feature.float().cpu()
    check_finite(feature, start, "feature")
    return feature


def check_finite(values: Tensor, start: int, what: str) -> None:
    """Raise a ValueError that names the first cloud with a NaN or infinity; row 0 is cloud `start`."""
    is_bad = ~torch.isfinite(values.flatten(1)).all(dim=1)
    if is_bad.any():
        first = start + int(is_bad.nonzero()[0])
        hint = "python -m data.check_data names the file" if what == "point" else "the weights may have diverged"
        raise ValueError(f"cloud {first} has a {what} that is not finite (NaN or infinity); {hint}")


@contextmanager
def eval_mode(encoder: nn.Module) -> Iterator[None]:
    """Switch to eval mode, then restore each sub-module's own mode: frozen parts of a training network stay frozen."""
    modes = {module: module.training for module in encoder.modules()}
    encoder.eval()
    try:
        yield
    finally:
        for module, is_training in modes.items():
            module.training = is_training
