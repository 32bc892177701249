"""A frozen encoder, pre-trained or untrained, as the evaluation programs load it, and how its features are computed."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from models.encoders.registry import (
    ENCODERS,
    MAX_EMB_DIMS,
    build_encoder,
    encoder_name,
    has_graph,
    published_width,
)
from models.layers.all_layers import AllLayers
from models.weights.published import load_encoder
from utils import seed
from utils.run.provenance import weights_origin
from utils.settings import Settings, flag

PUBLISHED_K = 15
LAST_LAYER, ALL_LAYERS = LAYERS = ("last", "all")


@dataclass(frozen=True)
class EncoderSettings(Settings):
    """Which weights an encoder has: those of a file, or random ones."""

    model_path: str | None = flag(None, "weights: of a run here (models/best_model.pth, last.pt), or published")
    random_init: bool = flag(False, "untrained weights: the baseline for any claim")
    model: str | None = flag(None, "default: what the checkpoint holds, else dgcnn", choices=tuple(ENCODERS))
    k: int | None = flag(
        None, f"neighbours per point (default: what the checkpoint says, else {PUBLISHED_K})", at_least=1
    )
    emb_dims: int | None = flag(
        None,
        "width of the embedding (default: what the checkpoint has, else the published one)",
        at_least=1,
        at_most=MAX_EMB_DIMS,
    )
    seed: int = flag(0, "of the untrained weights and of every draw")

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.model_path) == self.random_init:
            raise ValueError("name one encoder: pass either --model_path or --random_init")


@dataclass(frozen=True)
class FeatureSettings(Settings):
    """How features are computed and where they are kept."""

    batch_size: int = flag(32, "clouds per forward pass")
    copies: int = flag(1, "of a cloud, turned about y by equal steps, whose features are averaged", at_least=1)
    layers: str = flag(
        LAST_LAYER, "of the encoder that make the feature; all: pooled, at unit length, side by side", choices=LAYERS
    )
    whiten: float = flag(
        0.0,
        "shorten principal directions of the features, found without labels on the train split, whose variance is more "
        "than about this share of the largest (0: none; try 0.01)",
        at_least=0,
    )
    feature_cache: str | None = flag(
        None,
        "folder that keeps features, so that no program computes them again; off: none (default: features in the "
        "run's folder, none for untrained weights)",
        metavar="DIR",
    )

    @property
    def unusual(self) -> dict[str, Any]:
        """What makes these features others than those of the last layer, of one copy: the entries that records hold."""
        found = {"copies": self.copies} if self.copies > 1 else {}
        found |= {"layers": self.layers} if self.layers != LAST_LAYER else {}
        return found | ({"whiten": self.whiten} if self.whiten else {})


class FrozenEncoder(NamedTuple):
    """An encoder, what records say of it (JSON values), a line for people and warnings."""

    encoder: nn.Module
    constants: dict[str, Any]
    description: str
    warnings: list[str]


def load_frozen_encoder(settings: EncoderSettings, device: torch.device) -> FrozenEncoder:
    """Load or build an encoder on `device`.

    Raises:
        FileNotFoundError: no checkpoint there.
        ValueError: damaged, of another model than --model or width than --emb_dims, or k out of range.
    """
    path, warnings = settings.model_path, []
    origin = weights_origin(path, settings.seed)
    if settings.random_init:
        seed.everything(settings.seed)
        name, k = settings.model or "dgcnn", settings.k or PUBLISHED_K
        encoder = build_encoder(name, k, settings.emb_dims)
        source = f"untrained weights, seed {settings.seed}"
    else:
        encoder, _, name, stored_k, report, _ = load_encoder(path, settings.model, settings.k, settings.emb_dims)
        k = settings.k or stored_k or PUBLISHED_K
        source = f"{path}, sha256 {origin['checkpoint_sha256']}, {report}"
        if has_graph(name) and stored_k not in (None, k):
            warnings.append(f"--k {k}, but {path} was trained with k {stored_k}")
        if report.saw_labels:
            warnings.append(f"{path} was fine-tuned with labels: this is no figure of pre-training alone")
    graph = k if has_graph(name) else None
    constants = {"model": name, "k": graph, "emb_dims": encoder.emb_dims, **origin}
    neighbours = "no graph" if graph is None else f"k {graph}"
    width = "" if encoder.emb_dims == published_width(name) else f", emb_dims {encoder.emb_dims}"
    return FrozenEncoder(encoder.to(device), constants, f"{name}, {neighbours}{width}, {source}", warnings)


def with_layers(encoder: nn.Module, layers: str) -> nn.Module:
    """Return the encoder as it is for "last"; for "all" one whose feature holds all of its layers, see `AllLayers`.

    Raises:
        ValueError: the encoder does not offer its layers.
    """
    if layers == LAST_LAYER:
        return encoder
    if not hasattr(encoder, "pooled_layers"):
        able = ", ".join(name for name, kind in ENCODERS.items() if hasattr(kind, "pooled_layers"))
        raise ValueError(f"--layers {layers}: {encoder_name(encoder)} does not offer its layers, as {able} do")
    return AllLayers(encoder)
