"""CrossPoint with a frozen image network as teacher: clouds agree with what it has said of the views of their shape."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.methods.crosspoint import CrossPoint
from models.methods.method import Batch


class _Seen(nn.Identity):
    """Stands in for the image encoder: features that a batch brings. Shape: (B, D) -> (B, D)."""

    def __init__(self, feature_dim: int):
        super().__init__()
        self.feature_dim = feature_dim


class TaughtCrossPoint(CrossPoint):
    """Two augmentations of a cloud agree (IMID); their mean agrees with the teacher's row of the shape (CMID).

    The teacher has run before: a batch holds its rows, so it costs nothing here and cannot move. What learns beside the
    point branch is a projection of two layers.

    Args:
        point_encoder: points (B, N, 3) -> feature (B, point_encoder.feature_dim).
        teacher_dim: D, width of the rows.
        options: those of CrossPoint.
    Raises: as CrossPoint; also a ValueError where cmid_weight is 0, which leaves the teacher out.
    """

    def __init__(self, point_encoder: nn.Module, teacher_dim: int, **options: Any):
        if options.get("cmid_weight") == 0:
            raise ValueError("--cmid_weight 0 leaves the teacher out: leave --image_teacher out too")
        super().__init__(point_encoder, _Seen(teacher_dim), **options)

    def embed_views(self, batch: Batch) -> Tensor:
        """Project the teacher's rows of the shapes, "teacher" (B, D) of a batch. Shape: -> (B, E)."""
        return self.embed_images(batch["teacher"])

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return the point branch under CrossPoint's published names, and the projection as "teacher_head"."""
        return {"point": super().weights()["point"], "teacher_head": self.image_head.state_dict()}
