"""Multi-view pre-training of an image network: two augmented sets of an object's views agree.

Source: Tran et al. 2022, arXiv:2210.15904; the NT-Xent loss of its published code, arXiv:2002.05709. Its script was not
published: which views and augmentations form the two sets is ours.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.encoders.multiview_resnet import MultiViewResNet
from models.losses.nt_xent import nt_xent
from models.methods.method import Batch, Method, Terms
from models.weights.teacher_file import teacher_state


class MultiViewImages(Method):
    """NT-Xent between two sets of views of each object.

    Args:
        encoder: image (B, V, 3, S, S) -> embedding (B, D).
        temperature: published: 0.5.
    """

    def __init__(self, encoder: MultiViewResNet, temperature: float = 0.5):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"--temperature must be > 0, got {temperature}")
        self.encoder, self.temperature = encoder, temperature

    def forward(self, batch: Batch) -> Terms:
        """Return the loss of one batch: `loss` of its `embed`."""
        return self.loss(self.embed(batch))

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Embed views_a and views_b, each (B, V, 3, S, S). Shape: two (B, D)."""
        return {name: self.encoder(batch[name]) for name in ("views_a", "views_b")}

    def loss(self, embeddings: dict[str, Tensor]) -> Terms:
        """Return {"loss/views": scalar}."""
        return {"loss/views": nt_xent(embeddings["views_a"], embeddings["views_b"], self.temperature)}

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return the whole network as "teacher"."""
        return {"teacher": teacher_state(self.encoder)}
