"""Towers aligned with texts: clouds and images are mapped into the space of a text tower.

Source: ULIP (Xue et al. 2023, arXiv:2212.05171); towers and classifier as in CrossMoST (arXiv:2404.10146).
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.encoders.image_resnet import ImageResNet
from models.encoders.registry import build_encoder, encoder_name
from models.losses.matching import matching_loss
from models.methods.method import Batch, Method, Terms
from models.text.clip_model import ClipImages
from models.weights.published import export_state
from models.weights.weight_file import check_tensors, read_kind

KIND = "aligned_towers"
TRAINED_IMAGES = ("all", "projection", "none")  # of the image tower: what learns
FIRST_SCALE, MAX_LOG_SCALE = 1 / 0.07, 4.6052  # published


class AlignedTowers(nn.Module):
    """A point encoder and an image encoder, each with a linear projection into the space of a text tower.

    The text tower is not a part: it makes the classifier (`zero_shot_classifier`) and is not needed afterwards.

    Args:
        point_encoder: of the registry; points (B, N, 3) -> feature (B, point_encoder.feature_dim).
        image_encoder: ImageResNet or ClipImages; ImageNet-normalised images (B, 3, S, S) -> (B, feature_dim).
        text_dim: D, width of the text tower's embeddings.
        text: what identifies the text tower, `TextEncoder.describe()`; stored with the weights.
        image_size: S that the images had in training; stored with the weights.
        k: stored as neighbours per point; None takes the encoder's, if it has a graph.
    Attributes:
        logit_scale: scalar parameter, the logarithm of the factor of similarities.
        knows_images: False where the image projection is random still; stored with the weights.
        class_names, classifier: Y names and a parameter (D, Y), where the towers have one of their own, see
            `set_classes`; else no names and None.
    Raises:
        ValueError: CLIP's images with another text tower than its own.
    """

    def __init__(
        self,
        point_encoder: nn.Module,
        image_encoder: ImageResNet | ClipImages,
        text_dim: int,
        *,
        text: Mapping[str, str],
        image_size: int,
        k: int | None = None,
    ):
        super().__init__()
        self.point_encoder, self.image_encoder = point_encoder, image_encoder
        self.point_projection = _projection(point_encoder.feature_dim, text_dim)
        self.image_projection = _projection(image_encoder.feature_dim, text_dim)
        if isinstance(image_encoder, ClipImages):
            if image_encoder.first_projection.shape[0] != text_dim:
                raise ValueError(
                    f"CLIP's images have {image_encoder.first_projection.shape[0]} numbers, the text tower {text_dim}: "
                    "take both of one CLIP file"
                )
            with torch.no_grad():
                self.image_projection.weight.copy_(image_encoder.first_projection)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        self.class_names: list[str] = []
        self.knows_images = True
        self.register_parameter("classifier", None)
        self.text_dim, self.text, self.image_size = text_dim, dict(text), image_size
        self.k = getattr(point_encoder, "k", None) if k is None else k

    def embed_points(self, points: Tensor) -> Tensor:
        """Embed clouds in the space of texts. Shape: (B, N, 3) -> (B, D), rows of unit length, at least float32."""
        return unit_rows(self.point_projection(self.point_encoder(points)))

    def embed_images(self, images: Tensor) -> Tensor:
        """Embed images in the space of texts. Shape: (B, 3, S, S) -> (B, D), rows of unit length, at least float32."""
        return unit_rows(self.image_projection(self.image_encoder(images)))

    def set_classes(self, names: Sequence[str], classifier: Tensor) -> None:
        """Give the towers a classifier of their own, which learns and is stored with them. Shape: (D, Y)."""
        self.class_names, self.classifier = list(names), nn.Parameter(classifier.clone())

    def logits(self, embedding: Tensor, classifier: Tensor) -> Tensor:
        """Compare embeddings of either kind with classes. Shape: (B, D), columns (D, Y) -> (B, Y)."""
        return self.logit_scale.exp() * embedding @ classifier

    def describe(self) -> dict[str, Any]:
        """Return all that `load_towers` needs beside the weights (JSON values)."""
        encoder, images = self.point_encoder, self.image_encoder
        is_clip = isinstance(images, ClipImages)
        return {
            "model": KIND,
            "point": {"model": encoder_name(encoder), "k": self.k, "emb_dims": encoder.emb_dims},
            "image": {"clip": images.config} if is_clip else {"depth": images.depth},
            "image_size": self.image_size,
            "knows_images": self.knows_images,
            "text_dim": self.text_dim,
            "text": self.text,
            **({"classes": self.class_names} if self.class_names else {}),
        }

    def weight_state(self) -> OrderedDict:
        """Return the state dict, with `describe` in its metadata."""
        state = self.state_dict()
        state._metadata["crosspoint"] = self.describe()
        return state


def load_towers(path: str | Path, *, is_trained: bool = True) -> AlignedTowers:
    """Load towers that `scripts.align_text` or `scripts.train_crossmost` wrote, in eval mode.

    Args:
        is_trained: False builds the same towers with random weights and without classes of their own, the baseline.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or other weights; with CLIP's image tower also where open_clip is not installed.
    """
    wanted = "holds no aligned towers: expected models/towers_best.pth of python -m scripts.align_text"
    state, stored = read_kind(path, KIND, wanted)
    try:
        check_tensors(state)
        point, image = stored["point"], stored["image"]
        encoder = build_encoder(point["model"], point["k"] or 15, point["emb_dims"])
        images = ClipImages(image["clip"]) if "clip" in image else ImageResNet(image["depth"])
        options = {"text": stored["text"], "image_size": stored["image_size"], "k": point["k"]}
        towers = AlignedTowers(encoder, images, stored["text_dim"], **options)
        towers.knows_images = stored["knows_images"]
        if is_trained:
            if "classes" in stored:
                towers.set_classes(stored["classes"], state["classifier"])
            towers.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold the towers it names: {error}") from error
    return towers.eval()


class TextAlignment(Method):
    """ULIP's loss: a cloud matches its text and its image; where the image tower learns, its image also its text.

    The text tower has run before: a batch holds its embeddings. A term of weight 0 is not computed.

    Args:
        towers: trained; their scale is kept below 100, as published.
        text_weight, image_weight: of points with texts and with images, >= 0 and not both 0; published: 1 and 1.
        image_text_weight: of images with texts, >= 0; published: 0, with frozen image and text towers.
        trained_images: what of the image tower learns, one of TRAINED_IMAGES; published: none.
        masks_same_text: whether shapes of the same text are no negatives of each other where texts are matched;
            published: not.
    Raises:
        ValueError: a weight that is negative or no number, no term of points, or an image tower of random weights that
            learns nothing.
    """

    def __init__(
        self,
        towers: AlignedTowers,
        *,
        text_weight: float = 1.0,
        image_weight: float = 1.0,
        image_text_weight: float = 0.0,
        trained_images: str = "none",
        masks_same_text: bool = False,
    ):
        super().__init__()
        weights = (text_weight, image_weight, image_text_weight)
        if not (min(weights) >= 0 and sum(weights) < math.inf and text_weight + image_weight > 0):
            raise ValueError(
                f"--text_weight {text_weight} --image_weight {image_weight} --image_text_weight {image_text_weight}: "
                "all must be >= 0, and one of the first two > 0"
            )
        if trained_images not in TRAINED_IMAGES:
            raise ValueError(f"trained_images must be one of {', '.join(TRAINED_IMAGES)}, got {trained_images!r}")
        self.uses_images = image_weight + image_text_weight > 0
        towers.knows_images = self.uses_images or isinstance(towers.image_encoder, ClipImages)
        if self.uses_images and trained_images == "none" and not isinstance(towers.image_encoder, ClipImages):
            raise ValueError("the image projection is random and would never learn; train it, or take CLIP's images")
        self.towers = towers
        self.point_encoder = towers.point_encoder  # the same module a second time, under the name of every method
        self.text_weight, self.image_weight, self.image_text_weight = weights
        self.masks_same_text = masks_same_text
        self.is_encoder_frozen = trained_images != "all" or not self.uses_images
        towers.image_encoder.requires_grad_(not self.is_encoder_frozen)
        towers.image_projection.requires_grad_(self.uses_images and trained_images != "none")

    def frozen_parts(self) -> Iterable[nn.Module]:
        return [self.towers.image_encoder] if self.is_encoder_frozen else []

    def forward(self, batch: Batch) -> Terms:
        """Return the weighted loss terms of one batch: `loss` of its `embed`."""
        return self.loss(self.embed(batch))

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Embed one batch: a row per shape.

        Args:
            batch: points (B, N, 3); image (B, 3, S, S), unused where no term has images; text (B, D) unit rows of the
                text tower; text_id (B,), equal for equal texts.
        Returns:
            "points", "text" and, if needed, "image", each (B, D); "text_id" and "scale" (B,).
        """
        embeddings = {"points": self.towers.embed_points(batch["points"]), "text": batch["text"]}
        if self.uses_images:
            embeddings["image"] = self.towers.embed_images(batch["image"])
        # Both as rows of numbers, which the gradient cache can gather and differentiate.
        embeddings["text_id"] = batch["text_id"].double()
        embeddings["scale"] = self.towers.logit_scale.exp().expand(len(batch["points"]))
        return embeddings

    def loss(self, embeddings: dict[str, Tensor]) -> Terms:
        """Return the weighted terms "loss/text", "loss/image" and "loss/image_text", those whose weight is not 0."""
        scale = embeddings["scale"].mean()
        same_text = embeddings["text_id"] if self.masks_same_text else None
        terms = {}
        for name, weight, (a, b), kind in (
            ("loss/text", self.text_weight, ("points", "text"), same_text),
            ("loss/image", self.image_weight, ("points", "image"), None),
            ("loss/image_text", self.image_text_weight, ("image", "text"), same_text),
        ):
            if weight:
                terms[name] = weight * matching_loss(embeddings[a], embeddings[b], scale, kind)
        return terms

    def after_update(self, step: int) -> None:
        """Keep the factor of similarities between 1 and 100, as published."""
        with torch.no_grad():
            self.towers.logit_scale.clamp_(0, MAX_LOG_SCALE)

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return the point encoder, and all of the towers as "towers"."""
        encoder = self.point_encoder
        point = export_state(encoder, encoder_name(encoder), k=self.towers.k)
        return {"point": point, "towers": self.towers.weight_state()}


def _projection(feature_dim: int, text_dim: int) -> nn.Linear:
    """Build a linear map with ULIP's initial deviation, without bias."""
    projection = nn.Linear(feature_dim, text_dim, bias=False)
    nn.init.normal_(projection.weight, std=feature_dim**-0.5)
    return projection


def unit_rows(rows: Tensor) -> Tensor:
    """Scale rows to unit length, out of autocast's type."""
    return F.normalize(rows.to(torch.promote_types(rows.dtype, torch.float32)), dim=1)
