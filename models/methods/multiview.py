"""Multi-view pre-training of a point encoder: a frozen image network teaches it, object by object and pixel by pixel.

Source: Tran et al. 2022, arXiv:2210.15904, and its published code.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.distributed import get_world_size
from models.encoders.registry import encoder_name
from models.encoders.tnet import transform_penalty
from models.layers.heads import dense_head, object_head
from models.losses.pixel_point import MIN_TEMPERATURE, pixel_point_losses
from models.methods.method import Batch, Method, Terms
from models.weights.published import export_state

PENALTY_WEIGHT = 0.001  # of the published regulariser of T-Nets


class MultiView(Method):
    """A cloud's embedding matches the teacher's of its views (global); its points match their pixels (local).

    The teacher has run before: a batch holds its features, so it costs nothing here and cannot move. A term of weight 0
    is not computed. Encoders with T-Nets are also drawn towards orthogonal transforms.

    Args:
        point_encoder: has `dense`: points (B, N, 3) -> rows (B, N, emb_dims), their maximum (B, emb_dims).
        map_dim: channels of the teacher's feature maps.
        target_dim: width of the teacher's embedding.
        global_weight, local_weight: factors of the two terms, >= 0 and not both 0; published: 1 and 1.
        temperature: of the local loss; published: 0.5.
        map_size: side of the grid of pixels that pairs refer to, to which maps are interpolated; published: 32.
        masks_same_point: whether rows of one point are left out of each other's negatives; published: not.
        k: recorded with the weights as neighbours per point; None takes the encoder's, if it has a graph.
        dims: of what `encode` returns of a point and of a cloud; None: emb_dims of the encoder.
    Raises:
        ValueError: a weight that is negative or no number, both weights 0, or a temperature that is too low.
    """

    def __init__(
        self,
        point_encoder: nn.Module,
        map_dim: int,
        target_dim: int = 128,
        *,
        global_weight: float = 1.0,
        local_weight: float = 1.0,
        temperature: float = 0.5,
        map_size: int = 32,
        masks_same_point: bool = False,
        k: int | None = None,
        dims: tuple[int, int] | None = None,
    ):
        super().__init__()
        if not (min(global_weight, local_weight) >= 0 and 0 < global_weight + local_weight < math.inf):
            raise ValueError(
                f"--global_weight {global_weight} --local_weight {local_weight}: both must be >= 0 and one of them > 0"
            )
        if not MIN_TEMPERATURE <= temperature < math.inf:
            raise ValueError(f"--temperature must be at least {MIN_TEMPERATURE}, got {temperature}")
        self.point_encoder = point_encoder
        point_dims, object_dims = dims or (point_encoder.emb_dims, point_encoder.emb_dims)
        self.object_head = object_head(object_dims, target_dim)
        self.point_head = dense_head(point_dims, target_dim)
        self.pixel_head = nn.Linear(map_dim, target_dim)
        for weight, heads in ((global_weight, [self.object_head]), (local_weight, [self.point_head, self.pixel_head])):
            if not weight:
                for head in heads:
                    head.requires_grad_(False)
        self.global_weight, self.local_weight = global_weight, local_weight
        self.temperature, self.map_size, self.masks_same_point = temperature, map_size, masks_same_point
        self.k = getattr(point_encoder, "k", None) if k is None else k

    def forward(self, batch: Batch) -> Terms:
        """Return the weighted loss terms of one batch: `loss` of its `embed`."""
        return self.loss(self.embed(batch))

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return features of points (B, N, E) and of clouds (B, E')."""
        return self.point_encoder.dense(batch["points"])

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Embed one batch: a row per object.

        Args:
            batch: points (B, N, 3); pairs (B, P, 4) int64, rows (view, row, column, point); the teacher's maps
                (B, V, C, h, w) and target (B, D).
        Returns:
            "object" and "target" (B, D), "local" (B,), the loss of each object's pairs, and "penalty" (B,) of T-Nets;
            those that are needed.
        """
        rows, clouds = self.encode(batch)
        found = {}
        if self.global_weight:
            found |= {"object": self.object_head(clouds), "target": batch["target"]}
        if self.local_weight:
            found["local"] = pixel_point_losses(
                self.embed_points(rows, batch["pairs"]),
                self.embed_pixels(batch["maps"], batch["pairs"]),
                self.temperature,
                batch["pairs"][..., 3] if self.masks_same_point else None,
            )
        penalty = transform_penalty(self.point_encoder)
        if penalty is not None:
            found["penalty"] = penalty
        return found

    def embed_points(self, rows: Tensor, pairs: Tensor) -> Tensor:
        """Map the points of pairs to the space that pixels share. Shape: (B, N, E), (B, P, 4) -> (B, P, D).

        Only they pass through the head, each once, and its BatchNorm sees them; in the published code it sees all.
        """
        number = pairs[..., 3] + torch.arange(len(rows), device=rows.device)[:, None] * rows.shape[1]
        drawn, place = number.unique(return_inverse=True)
        return self.point_head(rows.flatten(0, 1)[drawn])[place]

    def embed_pixels(self, maps: Tensor, pairs: Tensor) -> Tensor:
        """Map the pixels of pairs to the space that points share.

        Maps are interpolated bilinearly, corners aligned, to map_size x map_size. The head is linear, so it comes
        first, where there are fewer rows, and only the pixels of pairs are interpolated.

        Shape: (B, V, C, h, w), (B, P, 4) -> (B, P, D).
        """
        cells = self.pixel_head(maps.to(self.pixel_head.weight.dtype).movedim(2, -1))  # (B, V, h, w, D)
        height, width = cells.shape[2:4]
        cells = cells.flatten(1, 3)
        view, row, column, _ = pairs.unbind(-1)
        (top, bottom, down), (left, right, across) = (self._taps(row, height), self._taps(column, width))

        def at(row: Tensor, column: Tensor) -> Tensor:
            return cells.take_along_dim(((view * height + row) * width + column)[..., None], dim=1)

        upper = torch.lerp(at(top, left), at(top, right), across.to(cells.dtype))
        lower = torch.lerp(at(bottom, left), at(bottom, right), across.to(cells.dtype))
        return torch.lerp(upper, lower, down.to(cells.dtype))

    def _taps(self, place: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the two cells of a map between which a pixel lies, and how far it is from the first, (B, P, 1)."""
        scaled = place.double() * ((size - 1) / max(self.map_size - 1, 1))
        first = scaled.long().clamp_max(size - 1)
        return first, (first + 1).clamp_max(size - 1), (scaled - first)[..., None]

    def loss(self, embeddings: dict[str, Tensor]) -> Terms:
        """Return the weighted terms: means over the objects, and the sum of the penalty over those of all ranks.

        Returns:
            "loss/global", "loss/local" and "loss/transform", scalars, those that there are.
        """
        terms = {}
        if self.global_weight:
            found = embeddings["object"]
            found = found.to(torch.promote_types(found.dtype, torch.float32))  # autocast's type would round it
            terms["loss/global"] = self.global_weight * F.mse_loss(found, embeddings["target"].to(found.dtype))
        if self.local_weight:
            terms["loss/local"] = self.local_weight * embeddings["local"].mean()
        if "penalty" in embeddings:  # gradients are averaged over the ranks
            terms["loss/transform"] = PENALTY_WEIGHT * get_world_size() * embeddings["penalty"].sum()
        return terms

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return the point encoder, and the heads as "heads"."""
        encoder = self.point_encoder
        return {"point": export_state(encoder, encoder_name(encoder), k=self.k), "heads": self.head_states()}

    def head_states(self) -> dict[str, Tensor]:
        """Return the tensors of the heads."""
        return {
            f"{name}.{key}": value
            for name in ("object_head", "point_head", "pixel_head")
            for key, value in getattr(self, name).state_dict().items()
        }
