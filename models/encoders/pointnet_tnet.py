"""PointNet with both alignment networks.

Source: Qi et al. 2017, arXiv:1612.00593, as in the code of selfsup_pcd (Tran et al. 2022, arXiv:2210.15904), whose
names of layers are kept.
"""

from torch import Tensor, nn

from models.encoders.tnet import TNet, apply_shared, shared_layers
from models.layers.row_norm import max_over_clouds


class PointNetTNet(nn.Module):
    """Align points, two shared layers, align their features, three shared layers, then a global maximum.

    Shape: points (B, N, 3) -> feature (B, emb_dims). In train mode `transform_penalty` tells how far the alignments are
    from rotations.

    Args:
        emb_dims: width of the last layer and of the feature.
    """

    def __init__(self, emb_dims: int = 1024):
        super().__init__()
        self.emb_dims = self.feature_dim = emb_dims
        self.point_dim = 3 + 64 + 64 + 64 + 64 + 128 + emb_dims
        self.stn1 = TNet(3)
        self.mlp1 = shared_layers(3, 64, 64)
        self.stn2 = TNet(64)
        self.mlp2 = shared_layers(64, 64, 128, emb_dims)

    def forward(self, points: Tensor) -> Tensor:
        return self.per_point(points)[1]

    def per_point(self, points: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return every point's features after each stage, seven (B * N, C), and each cloud's feature.

        The stages are the aligned points, two layers, the aligned features, and three layers.
        """
        aligned = self.stn1(points.flatten(0, 1), len(points))
        low = apply_shared(self.mlp1, aligned)
        aligned_features = self.stn2(low[-1], len(points))
        high = apply_shared(self.mlp2, aligned_features)
        return [aligned, *low, aligned_features, *high], max_over_clouds(high[-1], len(points))

    def pooled_layers(self, points: Tensor) -> list[Tensor]:
        """Return the maximum over each cloud of every shared layer, five (B, C); the last is the feature."""
        levels, feature = self.per_point(points)
        layers = [*levels[1:3], *levels[4:-1]]  # what is only aligned is left out
        return [*(level.unflatten(0, points.shape[:2]).amax(dim=1) for level in layers), feature]

    def dense(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return every point's activations in the last layer (B, N, emb_dims) and their maximum (B, emb_dims)."""
        levels, feature = self.per_point(points)
        return levels[-1].unflatten(0, points.shape[:2]), feature
