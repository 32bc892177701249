"""The common space of clouds and pictures that a trained CrossPoint's encoders and projection heads map to."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.shapes.shape_folder import read_shape
from datasets.transforms.image_transforms import plain_image
from datasets.transforms.point_transforms import PointAugment, random_subset, unit_sphere
from datasets.transforms.random_backgrounds import RANDOM
from models.encoders.image_resnet import ImageResNet
from models.encoders.registry import EMB_DIMS, build_encoder, has_graph
from models.methods.crosspoint import CrossPoint
from models.weights.weight_file import read_weights
from utils import seed as seeding
from utils.evaluation.features import check_finite, eval_mode
from utils.run.provenance import weights_origin
from utils.settings import Settings, flag

_FLAGS = ("model", "k", "num_points", "image_depth", "image_size", "background", "cmid_weight")
_AUGMENT = ("rotation", "max_scale", "translation", "max_dropout")


@dataclass(frozen=True)
class EmbeddingSettings(Settings):
    """How shapes and pictures are embedded.

    A random subset of `num_points` points is taken of each copy of a shape. More points than in training make another
    density, and retrieval much worse. Without copies the subset is centred and scaled to the unit sphere, nothing else.
    """

    num_points: int | None = flag(None, "of each cloud (default: as many as training took)", at_least=2)
    num_copies: int = flag(8, "augmented copies averaged for a shape; 0: one plain cloud", at_least=0)
    random_init: bool = flag(False, "the checkpoint's networks untrained: the baseline")
    seed: int = flag(0, "of untrained weights and of every draw")
    batch_size: int = flag(32, "clouds or pictures per forward pass", at_least=1)


class CrossModal:
    """Embeds shape files and pictures as unit vectors whose dot products compare them, also across modalities.

    A shape's embedding is the mean over augmented copies, drawn as in training, because the cross-modal loss compared
    the mean of two such copies with pictures. The draws are the same for every shape.

    Args:
        method: on its device.
        flags: of the training run; see _FLAGS and _AUGMENT.
    Attributes:
        background: behind transparent pixels of queries: the training's, black where it drew another for each view.
    """

    def __init__(self, method: CrossPoint, flags: dict[str, Any], settings: EmbeddingSettings):
        self.method = method
        self.flags = flags
        self.background = "black" if flags["background"] == RANDOM else flags["background"]
        self.num_points = flags["num_points"] if settings.num_points is None else settings.num_points
        self.num_copies, self.seed, self.batch_size = settings.num_copies, settings.seed, settings.batch_size
        self._augment = PointAugment(*(flags[name] for name in _AUGMENT))
        self._device = next(method.parameters()).device

    def settings(self) -> dict[str, Any]:
        """Return all that embeddings depend on apart from weights and files (JSON values)."""
        return {
            "num_points": self.num_points,
            "num_copies": self.num_copies,
            "augmentation": [self.flags[name] for name in _AUGMENT],
            "seed": self.seed,
        }

    def embed_shapes(self, paths: Sequence[Path]) -> np.ndarray:
        """Embed files of shapes as (M, D) float32 of unit length.

        Raises:
            FileNotFoundError, ValueError: a file is missing, damaged or too small; names it.
        """
        at_once = max(1, self.batch_size // max(1, self.num_copies))
        return self._embed(map(self._copies, paths), at_once, self._embed_copies)

    def embed_pictures(self, pictures: Iterable[Tensor]) -> np.ndarray:
        """Embed RGB pictures (3, H, W) uint8 of any size as (M, D) float32 of unit length.

        Resizes them to a square and normalises them as in training; their background should be that of its renders.
        """
        images = (plain_image(picture, self.flags["image_size"]) for picture in pictures)
        return self._embed(images, self.batch_size, self.method.embed_images)

    def _copies(self, path: Path) -> Tensor:
        """Draw the copies of one shape, (C, N, 3)."""
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
        """Embed shapes of C copies each, (B, C, N, 3), as the mean over the copies, (B, D)."""
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
    rest = iter(inputs)
    while batch := list(islice(rest, at_once)):
        yield torch.stack(batch)


def load_cross_modal(
    path: str | Path, device: torch.device, settings: EmbeddingSettings
) -> tuple[CrossModal, dict[str, Any]]:
    """Load both branches of a training state (last.pt of a run), and what records say of them (JSON values).

    Args:
        path: written by train_crosspoint.py.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or without an image branch.
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
        raise ValueError(f"{path} was trained with --cmid_weight 0: it has no image branch")
    if flags.get("image_teacher", "none") != "none":
        raise ValueError(
            f"{path} was trained with --image_teacher {flags['image_teacher']}: it has no image branch of its own, and "
            "pictures have no place in its space; train without the flag for retrieval"
        )
    seeding.everything(settings.seed)
    flags = {"emb_dims": EMB_DIMS} | flags  # states of earlier versions lack it
    point_encoder = build_encoder(flags["model"], flags["k"], flags["emb_dims"])
    method = CrossPoint(point_encoder, ImageResNet(flags["image_depth"]))
    if not settings.random_init:
        try:
            method.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"{path} does not hold the networks its flags name ({error})") from error
    cross_modal = CrossModal(method.to(device), flags, settings)
    return cross_modal, _constants(Path(path), flags, cross_modal, settings.random_init)


def _constants(path: Path, flags: dict[str, Any], cross_modal: CrossModal, random_init: bool) -> dict[str, Any]:
    return {
        "model": flags["model"],
        "k": flags["k"] if has_graph(flags["model"]) else None,
        "emb_dims": flags["emb_dims"],
        "image_model": f"resnet{flags['image_depth']}",
        "image_size": flags["image_size"],
        "background": flags["background"],
        **cross_modal.settings(),
        "normalize": True,
        **weights_origin(None if random_init else path, cross_modal.seed),
    }
