"""A pre-trained encoder from Python: a weight file in, features of arrays out.

encoder = load("checkpoints/quickstart/models/best_model.pth")
feature = encoder(points, normalize=True)  # (B, N, 3) -> (B, D)
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from datasets.precision import far_warning, widened
from datasets.transforms.point_transforms import unit_sphere
from models.weights.program_file import ProgramEncoder, is_program, load_program
from models.weights.published import LoadReport, load_encoder
from models.weights.shipped import find_weights
from utils.evaluation.features import as_clouds, extract_features
from utils.processes.device import get_device


class PointFeatures:
    """Computes features of clouds with a frozen encoder.

    Attributes:
        module: the encoder, an nn.Module in eval mode: points (B, N, 3) -> feature (B, D), with gradients unless it is
            an exported one.
        name: a key of models.encoders.registry.ENCODERS.
        feature_dim: D; 2048 for dgcnn, 1024 for the others.
        report: what became of every tensor of the weight file; None of an exported encoder.
        stored: what the file says of itself; {} for files of others.
        is_pretrained: whether no label was seen in its training.
    """

    def __init__(self, module: nn.Module, name: str, report: LoadReport | None, stored: dict[str, Any], pure: bool):
        self.module, self.name, self.report = module.eval(), name, report
        self.stored, self.is_pretrained = stored, pure
        self.feature_dim: int = module.feature_dim

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
            clouds = unit_sphere(widened(np.asarray(stored)))
        elif text := far_warning(clouds.cpu().numpy(), "pass normalize=True"):
            warnings.warn(text, stacklevel=2)
        feature = extract_features(self.module, clouds, batch_size=batch_size)
        return torch.from_numpy(feature).to(points.device) if isinstance(points, Tensor) else feature


def load(path: str | Path, *, k: int | None = None, device: str = "auto") -> PointFeatures:
    """Load an encoder: of a run here (models/best_model.pth, last.pt), as CrossPoint published, or exported.

    Args:
        path: .pth, .pt, or what scripts.export writes: .safetensors, .pt2, .onnx; or the name of shipped weights, such
            as dgcnn-open. A .pt2 is a program: load only what you would run.
        k: neighbours per point; None takes the file's, or 15 where it has none.
        device: auto, cpu, cuda or cuda:N; .pt2 and .onnx compute on the CPU, which auto then means.
    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds no such weights, a package for its format or the device is missing, or an exported
            encoder has another `k` or `device`.
    """
    path = find_weights(path)
    if is_program(path):
        return _load_exported(path, k, device)
    loaded = load_encoder(path, k=k)
    module = loaded.encoder.to(get_device(device))
    return PointFeatures(module, loaded.name, loaded.report, loaded.stored, not loaded.report.saw_labels)


def _load_exported(path: str | Path, k: int | None, device: str) -> PointFeatures:
    if device not in ("auto", "cpu"):
        raise ValueError(f"{path} computes on the CPU, got device {device}; the weights it was made from run on any")
    module: ProgramEncoder = load_program(path)
    card = module.card
    if k not in (None, module.k):
        raise ValueError(f"{path} was exported with k {module.k}, got k {k}; export it with --k {k}")
    stored = {name: card[name] for name in ("run", "clouds") if card.get(name)}
    return PointFeatures(module, card["model"], None, stored, card.get("task", "pre-training") == "pre-training")
