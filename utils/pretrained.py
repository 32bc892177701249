"""A pre-trained encoder from Python: a weight file in, features of arrays out.

encoder = load("checkpoints/quickstart/models/best_model.pth")
feature = encoder(points, normalize=True)  # (B, N, 3) -> (B, D)
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.precision import far_warning
from datasets.transforms.point_transforms import unit_sphere
from models.weights.published import PretrainedEncoder, load_encoder
from utils.evaluation.features import as_clouds, extract_features
from utils.processes.device import get_device


class PointFeatures:
    """Computes features of clouds with a frozen encoder.

    Attributes:
        module: the encoder, an nn.Module in eval mode: points (B, N, 3) -> feature (B, D), with gradients.
        name: dgcnn, dgcnn_seg or pointnet.
        feature_dim: D; 2048 for dgcnn, 1024 for the others.
        report: what became of every tensor of the weight file.
    """

    def __init__(self, loaded: PretrainedEncoder, device: torch.device):
        self.module = loaded.encoder.to(device).eval()
        self.name, self.report = loaded.name, loaded.report
        self.feature_dim: int = loaded.encoder.feature_dim

    def __call__(
        self, points: np.ndarray | Tensor, *, normalize: bool = False, batch_size: int = 32
    ) -> np.ndarray | Tensor:
        """Compute the feature of every cloud, in order, without gradients.

        Pre-training scales each cloud to the unit sphere, then scales it by 0.5 to 2, turns it about y and shifts it.
        So y must be up, and coordinates in any other unit or about any other origin need `normalize`.

        Args:
            points: (B, N, 3), finite, B >= 1 and N >= k; any real type, on any device.
            normalize: centre each cloud and scale it to radius 1 first.
            batch_size: clouds per forward pass.
        Returns:
            (B, D) float32: an array for an array, a tensor on the same device for a tensor.
        Raises:
            ValueError: another shape, too few points, a point that is not finite, or a cloud whose points coincide.
        """
        clouds = as_clouds(points)
        if normalize:
            stored = points.detach().cpu().numpy() if isinstance(points, Tensor) else points
            clouds = unit_sphere(np.asarray(stored, dtype=np.float64 if stored.dtype.itemsize > 4 else np.float32))
        elif text := far_warning(clouds.cpu().numpy(), "pass normalize=True"):
            warnings.warn(text, stacklevel=2)
        feature = extract_features(self.module, clouds, batch_size=batch_size)
        return torch.from_numpy(feature).to(points.device) if isinstance(points, Tensor) else feature


def load(path: str | Path, *, k: int | None = None, device: str = "auto") -> PointFeatures:
    """Load an encoder from a weight file: of a run here (models/best_model.pth, last.pt), or as CrossPoint published.

    Args:
        k: neighbours per point; None takes the file's, or 15 where it has none.
        device: auto, cpu, cuda or cuda:N.
    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no such weights, or the machine lacks the device.
    """
    return PointFeatures(load_encoder(path, k=k), get_device(device))
