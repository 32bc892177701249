"""The question every evaluation here answers: what does pre-training add to the same encoder with random weights?"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from datasets.labelled.labelled_clouds import LabelledClouds
from models.encoders.registry import build_encoder
from models.layers.whitening import fit_whitening
from models.weights.published import load_encoder
from models.weights.shipped import find_weights, shipped_names
from utils import markdown
from utils import seed as seeding
from utils.evaluation.feature_cache import FeatureCache
from utils.evaluation.frozen_encoder import LAST_LAYER, PUBLISHED_K, with_layers
from utils.evaluation.protocol_score import Score
from utils.evaluation.protocols import run_protocols


def encoder_pair(model_path: str | Path, *, seed: int = 0, k: int | None = None) -> dict[str, nn.Module]:
    """Build the same encoder twice: "random" with fresh weights, "pre-trained" with those of the file.

    Args:
        model_path: weights of a run here, or published; or the name of shipped ones.
        seed: of the fresh weights.
        k: neighbours per point; None takes the file's, or 15 where it has none.
    Raises:
        FileNotFoundError: no such file. ValueError: not such a file.
    """
    loaded = load_encoder(find_weights(model_path), k=k)
    seeding.everything(seed)
    return {
        "random": build_encoder(loaded.name, k or loaded.stored_k or PUBLISHED_K, loaded.encoder.emb_dims),
        "pre-trained": loaded.encoder,
    }


def shipped_encoders(model_path: str | Path) -> dict[str, nn.Module]:
    """Load the weights of pretrained/ that are of the same encoder as those of a file, by name.

    Raises:
        FileNotFoundError: no such file. ValueError: not such a file.
    """
    kind = load_encoder(find_weights(model_path)).name
    loaded = {name: load_encoder(find_weights(name)) for name in shipped_names()}
    return {name: one.encoder for name, one in loaded.items() if one.name == kind}


def compute_features(
    encoders: dict[str, nn.Module],
    clouds: LabelledClouds,
    cache: FeatureCache,
    *,
    device: torch.device | None = None,
    batch_size: int = 32,
    copies: int = 1,
    layers: str = LAST_LAYER,
    whiten: float = 0.0,
) -> dict[str, np.ndarray]:
    """Compute the features (M, D) of every cloud by every encoder, under the encoders' names.

    Args:
        copies: turned ones of each cloud, whose features are averaged, see `FeatureCache.extract`.
        layers: of the encoders that make the features, see `with_layers`.
        whiten: shrinkage of a whitening of each encoder's features, fitted on them, see `fit_whitening`; 0 for none.
    Raises:
        ValueError: layers that the encoders do not offer, or features that cannot be whitened.
    """
    options = {"batch_size": batch_size, "device": device, "copies": copies}
    chosen = {name: with_layers(encoder, layers) for name, encoder in encoders.items()}
    rows = {name: cache.extract(encoder, clouds.points, progress=name, **options) for name, encoder in chosen.items()}
    return {name: fit_whitening(found, whiten)(found) for name, found in rows.items()} if whiten else rows


def score_pair(
    train_features: dict[str, np.ndarray],
    train_labels: np.ndarray,
    test_features: dict[str, np.ndarray],
    test_labels: np.ndarray,
    *,
    seed: int = 0,
) -> dict[str, dict[str, Score]]:
    """Score the features by every protocol; return the scores by encoder and protocol."""
    return {
        name: {
            score.protocol: score
            for score in run_protocols(features, train_labels, test_features[name], test_labels, seed=seed)
        }
        for name, features in train_features.items()
    }


def scores_table(scores: dict[str, dict[str, Score]]) -> str:
    """Format the accuracies of `score_pair`, in percent, as a Markdown table of one line for each protocol."""
    protocols = list(next(iter(scores.values())))
    rows = [[name, *(f"{100 * by[name].accuracy:.1f}" for by in scores.values())] for name in protocols]
    return markdown.table(["protocol", *scores], rows)
