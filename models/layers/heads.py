"""Heads on an encoder's feature: projections for the contrastive losses, and a classifier.

Source of `point_head` and `image_head`: CrossPoint (arXiv:2203.00680); layer widths as in its published checkpoints.
Embeddings are not normalised here, because the losses do so, and CMID averages them before.
"""

from collections import OrderedDict

from torch import nn

from models.affine import SLOPE


def point_head(feature_dim: int, embedding_dim: int = 256) -> nn.Sequential:
    """Build Linear, BatchNorm, ReLU, Linear. Shape: (B, feature_dim) -> (B, embedding_dim)."""
    return _projection(feature_dim, 1024, embedding_dim, biases=(True, True))


def image_head(feature_dim: int, embedding_dim: int = 256) -> nn.Sequential:
    """Build Linear, BatchNorm, ReLU, Linear, without biases. Shape: (B, feature_dim) -> (B, embedding_dim)."""
    return _projection(feature_dim, 512, embedding_dim, biases=(False, False))


def object_head(feature_dim: int, embedding_dim: int = 128) -> nn.Sequential:
    """Build Linear without bias, BatchNorm, ReLU, Linear. Shape: (B, feature_dim) -> (B, embedding_dim).

    Source: the global heads of arXiv:2210.15904, of points and of views alike.
    """
    return _projection(feature_dim, 512, embedding_dim, biases=(False, True))


def dense_head(feature_dim: int, embedding_dim: int = 128) -> nn.Sequential:
    """Build Linear, BatchNorm, ReLU, Linear for single points. Shape: (M, feature_dim) -> (M, embedding_dim).

    Source: the point head of arXiv:2210.15904, there two 1x1 convolutions.
    """
    return _projection(feature_dim, 512, embedding_dim, biases=(True, True))


def _projection(feature_dim: int, hidden_dim: int, embedding_dim: int, *, biases: tuple[bool, bool]) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(feature_dim, hidden_dim, bias=biases[0]),
        nn.BatchNorm1d(hidden_dim),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_dim, embedding_dim, bias=biases[1]),
    )


def classifier(feature_dim: int, num_classes: int, dropout: float = 0.5) -> nn.Sequential:
    """Build two layers with BatchNorm, LeakyReLU, dropout, and one to the classes. Shape: (B, feature_dim) -> (B, Y).

    Layers are named as in the published DGCNN; the first has no bias.

    Source: the classification network of DGCNN (Wang et al. 2019, arXiv:1801.07829) as published.
    """
    layers = {
        "linear1": nn.Linear(feature_dim, 512, bias=False),
        "bn6": nn.BatchNorm1d(512),
        "act1": nn.LeakyReLU(SLOPE),
        "dp1": nn.Dropout(dropout),
        "linear2": nn.Linear(512, 256),
        "bn7": nn.BatchNorm1d(256),
        "act2": nn.LeakyReLU(SLOPE),
        "dp2": nn.Dropout(dropout),
        "linear3": nn.Linear(256, num_classes),
    }
    return nn.Sequential(OrderedDict(layers))
