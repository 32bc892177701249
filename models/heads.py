"""Projection heads: encoder feature -> embedding that the contrastive losses compare.

Source: CrossPoint (arXiv:2203.00680); layer widths as in its published checkpoints. Embeddings are not
normalised here: the losses normalise, and CMID averages un-normalised embeddings.
"""

from torch import nn


def point_head(feature_dim: int, embedding_dim: int = 256) -> nn.Sequential:
    """Linear, BatchNorm, ReLU, Linear. Shape: (B, feature_dim) -> (B, embedding_dim)."""
    return nn.Sequential(
        nn.Linear(feature_dim, 1024),
        nn.BatchNorm1d(1024),
        nn.ReLU(inplace=True),
        nn.Linear(1024, embedding_dim),
    )


def image_head(feature_dim: int, embedding_dim: int = 256) -> nn.Sequential:
    """Linear, BatchNorm, ReLU, Linear, without biases. Shape: (B, feature_dim) -> (B, embedding_dim)."""
    return nn.Sequential(
        nn.Linear(feature_dim, 512, bias=False),
        nn.BatchNorm1d(512),
        nn.ReLU(inplace=True),
        nn.Linear(512, embedding_dim, bias=False),
    )
