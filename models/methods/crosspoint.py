"""CrossPoint: cross-modal contrastive pre-training of a point encoder.

Source: Afham et al. 2022, arXiv:2203.00680; the loss as implemented by its authors. Several views: MM-Point,
arXiv:2402.10002. Local clouds: the multi-crop of SwAV, arXiv:2006.09882, for clouds AsymDSD, arXiv:2506.21724.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from models.encoders.registry import encoder_name
from models.layers.heads import image_head, point_head
from models.losses.nt_xent import nt_xent
from models.methods.method import Batch, Method, Terms
from models.weights.published import export_state


class CrossPoint(Method):
    """Two augmentations of a cloud agree (IMID); their mean agrees with an image of the object (CMID).

    A term of weight 0 is not computed: without CMID the image encoder never runs. With several images of each object
    CMID is the mean over them. Local clouds, small parts of the object, agree with the mean of the two as images do;
    they leave BatchNorm's running statistics to the whole clouds, which is what the encoder is used for later.

    Args:
        point_encoder: points (B, N, 3) -> feature (B, point_encoder.feature_dim).
        image_encoder: images (B, 3, H, W) -> feature (B, image_encoder.feature_dim); None where cmid_weight is 0.
        imid_weight, cmid_weight: factors of the two terms, >= 0 and not both 0; published: 1 and 1.
        temperature: of all NT-Xent losses; published: 0.1.
        local_clouds: L, of each shape; published: 0.
        local_weight: factor of their term, > 0.
        k: recorded with the weights as neighbours per point; None takes the encoder's, if it has a graph.
    Raises:
        ValueError: a weight that is negative or no number, both weights 0, a temperature that is not positive, or an
            image encoder where the cross-modal term is left out, or none where it is not.
    """

    def __init__(
        self,
        point_encoder: nn.Module,
        image_encoder: nn.Module | None,
        *,
        imid_weight: float = 1.0,
        cmid_weight: float = 1.0,
        temperature: float = 0.1,
        local_clouds: int = 0,
        local_weight: float = 1.0,
        k: int | None = None,
    ):
        super().__init__()
        if not (min(imid_weight, cmid_weight) >= 0 and 0 < imid_weight + cmid_weight < math.inf):
            raise ValueError(
                f"--imid_weight {imid_weight} --cmid_weight {cmid_weight}: both must be >= 0 and one of them > 0"
            )
        if not 0 < temperature < math.inf:
            raise ValueError(f"--temperature must be > 0, got {temperature}")
        if (image_encoder is not None) != (cmid_weight > 0):
            raise ValueError(f"--cmid_weight {cmid_weight} with image encoder {type(image_encoder).__name__}")
        self.point_encoder = point_encoder
        self.point_head = point_head(point_encoder.feature_dim)
        self.image_encoder = image_encoder
        self.image_head = None if image_encoder is None else image_head(image_encoder.feature_dim)
        self.register_load_state_dict_pre_hook(_without_idle_images)
        self.imid_weight = imid_weight
        self.cmid_weight = cmid_weight
        self.temperature = temperature
        self.local_clouds, self.local_weight = local_clouds, local_weight
        self.k = getattr(point_encoder, "k", None) if k is None else k

    def forward(self, batch: Batch) -> Terms:
        """Return the weighted loss terms of one batch: `loss` of its `embed`."""
        return self.loss(self.embed(batch))

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Embed one batch: each tensor (B, D), a row per shape.

        Args:
            batch: aug_a, aug_b (B, N, 3); local_0 to local_L-1 (B, n, 3); image (B, 3, H, W) or of V views
                (B, V, 3, H, W), unused when cmid_weight is 0.
        Returns:
            "aug_a", "aug_b", with local clouds "local" (B, L, D) and, unless cmid_weight is 0, "image", of several
            views (B, V, D).
        """
        points = torch.cat([batch["aug_a"], batch["aug_b"]])  # (2B, N, 3)
        embeddings = dict(zip(("aug_a", "aug_b"), self.embed_points(points).chunk(2), strict=True))
        if self.local_clouds:
            local = torch.cat([batch[f"local_{number}"] for number in range(self.local_clouds)])  # (LB, n, 3)
            with _kept_statistics(self):
                embeddings["local"] = self.embed_points(local).unflatten(0, (self.local_clouds, -1)).transpose(0, 1)
        if self.cmid_weight:
            embeddings["image"] = self.embed_views(batch)
        return embeddings

    def embed_views(self, batch: Batch) -> Tensor:
        """Map the images of a batch to the space that clouds share. Shape: -> (B, D), of several views (B, V, D)."""
        images = batch["image"]
        return self.embed_images(images.flatten(0, -4)).unflatten(0, images.shape[:-3])

    def embed_points(self, points: Tensor) -> Tensor:
        """Map clouds to the space that images share; not of unit length. Shape: (B, N, 3) -> (B, D)."""
        return self.point_head(self.point_encoder(points))

    def embed_images(self, images: Tensor) -> Tensor:
        """Map images to the space that clouds share; not of unit length. Shape: (B, 3, H, W) -> (B, D)."""
        return self.image_head(self.image_encoder(images))

    def loss(self, embeddings: dict[str, Tensor]) -> Terms:
        """Contrast every shape with all others of the batch; return the weighted terms.

        Returns:
            "loss/imid", "loss/cmid" and "loss/local", scalars, only those that are asked for; their sum is the loss.
        """
        a, b = embeddings["aug_a"], embeddings["aug_b"]
        terms = {}
        if self.imid_weight:
            terms["loss/imid"] = self.imid_weight * nt_xent(a, b, self.temperature)
        # Their mean in autocast's type would be rounded once more.
        a, b = (rows.to(torch.promote_types(rows.dtype, torch.float32)) for rows in (a, b))
        if self.cmid_weight:
            terms["loss/cmid"] = self.cmid_weight * self._contrast((a + b) / 2, embeddings["image"])
        if self.local_clouds:
            terms["loss/local"] = self.local_weight * self._contrast((a + b) / 2, embeddings["local"])
        return terms

    def _contrast(self, mean: Tensor, others: Tensor) -> Tensor:
        """Average NT-Xent over the embeddings that a shape has beside its mean: one, (B, D), or V, (B, V, D)."""
        each = others.unbind(1) if others.ndim == 3 else [others]
        return torch.stack([nt_xent(mean, rows, self.temperature) for rows in each]).mean()

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return the point branch under CrossPoint's published names, and an image branch as "img_model"."""
        encoder = self.point_encoder
        point = export_state(encoder, encoder_name(encoder), self.point_head, k=self.k)
        if self.image_encoder is None:
            return {"point": point}
        head = {f"inv_head.{key}": value for key, value in self.image_head.state_dict().items()}
        return {"point": point, "img_model": self.image_encoder.state_dict() | head}


def _without_idle_images(method: CrossPoint, state: dict[str, Any], *_: object) -> None:
    """Leave out the image branch that states of earlier versions hold, untrained, without the cross-modal term."""
    if method.image_encoder is None:
        for key in [key for key in state if key.startswith(("image_encoder.", "image_head."))]:
            del state[key]


@contextmanager
def _kept_statistics(module: nn.Module) -> Iterator[None]:
    """Leave BatchNorm's running statistics as they are in this block."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.momentum = 0.0
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
