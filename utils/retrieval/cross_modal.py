"""A trained CrossPoint as a common space of clouds and pictures: both encoders and both projection heads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.shapes.shape_folder import read_shape
from datasets.transforms.image_transforms import plain_image
from datasets.transforms.point_transforms import PointAugment, random_subset, unit_sphere
from models.encoders.image_resnet import ImageResNet
from models.encoders.registry import build_encoder
from models.methods.crosspoint import CrossPoint
from models.weights.weight_file import read_weights
from utils import seed as seeding
from utils.evaluation.features import check_finite, eval_mode
from utils.run.provenance import file_sha256

DEFAULT_COPIES = 8
_FLAGS = ("model", "k", "num_points", "image_depth", "image_size", "background", "cmid_weight")
_AUGMENT = ("rotation", "max_scale", "translation", "max_dropout")


class CrossModal:
    """Embeds shape files and pictures as unit vectors whose dot products compare them, across modalities too.

    A shape's embedding is the mean over `num_copies` augmented copies, drawn as training drew them: that is what the
    cross-modal loss compared with pictures, with two copies. The draws are the same for every shape.

    Args:
        method: on its device.
        flags: of the training run; see _FLAGS and _AUGMENT.
        num_points: of each copy, a random subset; None takes what training took. More points than in training make
            another density, and retrieval much worse.
        num_copies: 0 embeds one random subset, centred and scaled to the unit sphere, and nothing else.
        seed: of all draws.
        batch_size: clouds, or pictures, in one forward pass.
    Raises:
        ValueError: a number out of range.
    """

    def __init__(
        self,
        method: CrossPoint,
        flags: dict[str, Any],
        *,
        num_points: int | None = None,
        num_copies: int = DEFAULT_COPIES,
        seed: int = 0,
        batch_size: int = 32,
    ):
        self.num_points = flags["num_points"] if num_points is None else num_points
        for name, value, least in (
            ("num_points", self.num_points, 2),
            ("num_copies", num_copies, 0),
            ("batch_size", batch_size, 1),
        ):
            if value < least:
                raise ValueError(f"--{name} must be at least {least}, got {value}")
        self.method = method
        self.flags = flags
        self.num_copies = num_copies
        self.seed = seed
        self.batch_size = batch_size
        self._augment = PointAugment(*(flags[name] for name in _AUGMENT))
        self._device = next(method.parameters()).device

    def settings(self) -> dict[str, Any]:
        """All that embeddings depend on beside weights and files, JSON values."""
        return {
            "num_points": self.num_points,
            "num_copies": self.num_copies,
            "augmentation": [self.flags[name] for name in _AUGMENT],
            "seed": self.seed,
        }

    def embed_shapes(self, paths: Sequence[Path]) -> np.ndarray:
        """Files of shapes -> (M, D) float32 of unit length.

        Raises:
            FileNotFoundError, ValueError: a file that is missing, damaged or too small, by name.
        """
        at_once = max(1, self.batch_size // max(1, self.num_copies))
        return self._embed(map(self._copies, paths), at_once, self._embed_copies)

    def embed_pictures(self, pictures: Iterable[Tensor]) -> np.ndarray:
        """RGB pictures (3, H, W) uint8 of any size -> (M, D) float32 of unit length, prepared as training did.

        They are resized to a square and normalised; their background should be that of the training renders.
        """
        images = (plain_image(picture, self.flags["image_size"]) for picture in pictures)
        return self._embed(images, self.batch_size, self.method.embed_images)

    def _copies(self, path: Path) -> Tensor:
        """Copies of one shape, (C, N, 3)."""
        points = read_shape(path, seed=self.seed)
        if len(points) < self.num_points:
            raise ValueError(
                f"{path} holds {len(points)} points, {self.num_points} are needed; pass --num_points {len(points)}"
            )
        rngs = [np.random.default_rng((self.seed, copy)) for copy in range(max(1, self.num_copies))]
        subsets = [random_subset(points, rng, self.num_points) for rng in rngs]
        try:
            if not self.num_copies:
                return torch.from_numpy(unit_sphere(subsets[0]))[None]
            return torch.from_numpy(np.stack([self._augment(*drawn) for drawn in zip(subsets, rngs)]))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def _embed_copies(self, clouds: Tensor) -> Tensor:
        """(B, C, N, 3) -> (B, D): the mean over the copies."""
        embedding = self.method.embed_points(clouds.flatten(0, 1))  # (B * C, D)
        return embedding.unflatten(0, clouds.shape[:2]).mean(dim=1)

    def _embed(self, inputs: Iterable[Tensor], at_once: int, embed: Callable[[Tensor], Tensor]) -> np.ndarray:
        rows, start = [], 0
        with eval_mode(self.method), torch.inference_mode():
            for batch in _batches(inputs, at_once):
                embedding = embed(batch.to(self._device)).float().cpu()
                check_finite(embedding, start, "embedding")
                rows.append(torch.nn.functional.normalize(embedding))
                start += len(batch)
        return torch.cat(rows).numpy()


def _batches(inputs: Iterable[Tensor], at_once: int) -> Iterator[Tensor]:
    batch: list[Tensor] = []
    for value in inputs:
        batch.append(value)
        if len(batch) == at_once:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)


def load_cross_modal(
    path: str | Path, device: torch.device, *, random_init: bool = False, **options: Any
) -> tuple[CrossModal, dict[str, Any]]:
    """Both branches of a training state (last.pt of a run), and what is to be recorded about them (JSON values).

    Args:
        path: written by train_crosspoint.py.
        random_init: untrained weights in the networks of that state; their seed is `options["seed"]`.
        options: of `CrossModal`.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, without an image branch, or with one that was never trained.
    """
    state = read_weights(path)
    flags, weights = state.get("config"), state.get("method")
    if not isinstance(flags, dict) or not isinstance(weights, dict):
        raise ValueError(
            f"{path} has no image branch: it holds {len(state)} tensors of a point encoder; pass the run's last.pt, "
            "which holds both branches and their projection heads"
        )
    missing = [name for name in (*_FLAGS, *_AUGMENT) if name not in flags]
    if missing:
        raise ValueError(f"{path} is no state of train_crosspoint.py: its flags lack {', '.join(missing)}")
    if flags["cmid_weight"] == 0:
        raise ValueError(f"{path} was trained with --cmid_weight 0: its image branch has learned nothing")
    seeding.everything(options.get("seed", 0))
    method = CrossPoint(build_encoder(flags["model"], flags["k"]), ImageResNet(flags["image_depth"]))
    if not random_init:
        try:
            method.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"{path} does not hold the networks its flags name ({error})") from error
    cross_modal = CrossModal(method.to(device), flags, **options)
    return cross_modal, _constants(Path(path), flags, cross_modal, random_init)


def _constants(path: Path, flags: dict[str, Any], cross_modal: CrossModal, random_init: bool) -> dict[str, Any]:
    return {
        "model": flags["model"],
        "k": None if flags["model"] == "pointnet" else flags["k"],
        "image_model": f"resnet{flags['image_depth']}",
        "image_size": flags["image_size"],
        "background": flags["background"],
        **cross_modal.settings(),
        "normalize": True,
        "weights": "random" if random_init else "checkpoint",
        "checkpoint": None if random_init else str(path),
        "checkpoint_sha256": None if random_init else file_sha256(path),
        "encoder_seed": cross_modal.seed if random_init else None,
    }
