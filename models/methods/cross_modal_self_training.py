"""Cross-modal self-training: image and point towers adapt to shapes without labels, by labels of their moving average.

Source: CrossMoST (CVPRW 2024, arXiv:2404.10146), on MUST (arXiv:2206.02967) and ULIP (arXiv:2212.05171).
"""

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.encoders.pointbert import PointBERT
from models.encoders.registry import encoder_name
from models.layers.averaging import move_towards
from models.losses.matching import matching_loss
from models.losses.self_training import (
    PUBLISHED_THRESHOLDS,
    Thresholds,
    count_sure,
    fairness,
    pseudo_labels,
    published_alignment,
    shares_labels,
    sure_cross_entropy,
    trained_branches,
    with_given,
)
from models.methods.masked_towers import MaskedGroups, MaskedImages, Seen, mask_grid
from models.methods.method import Batch, Method, Terms
from models.methods.text_alignment import AlignedTowers, unit_rows
from models.weights.published import export_state

ALIGNMENT_TEMPERATURE = 0.07


class TeacherPace(NamedTuple):
    """Decay of the teacher's moving average: from `first` linearly to `last` over `ramp` updates."""

    first: float = 0.99
    last: float = 0.9998
    ramp: int = 400

    def decay(self, step: int) -> float:
        """Return the decay of an update, counted from 1."""
        return self.first + (self.last - self.first) * min(1.0, (step - 1) / self.ramp)


class TermWeights(NamedTuple):
    """Factors of the terms, >= 0; `points` multiplies all terms of points. `alignment` None: 1 with shared labels."""

    points: float = 1.0
    fairness: float = 1.0
    masked: float = 1.0
    local: float = 0.2
    alignment: float | None = None


PUBLISHED_PACE, PUBLISHED_WEIGHTS = TeacherPace(), TermWeights()


class CrossModalSelfTraining(Method):
    """A student learns on strong augmentations what its moving average, the teacher, says of weak ones with confidence.

    Labels play no part, unless a batch holds those that a person has given. Each branch has the terms label and
    fairness and, where its tower can be masked, masked and local; both together alignment. Teacher and student both
    have the classifier, shared by the branches.

    Args:
        towers: become the student; with classes of their own, `AlignedTowers.set_classes`.
        labels: one of LABELS, see `pseudo_labels`.
        thresholds, weights, pace: as published by default.
        alignment_temperature: > 0; plays no part in the published losses.
        is_masked: hide patches and groups where a tower has them.
        has_frozen_groups: Point-BERT's encoder of groups learns nothing and keeps its statistics, as published by
            intent: the code froze its weights alone.
        published_losses: CrossMoST's literal masked and alignment terms, see `MaskedImages`, `MaskedGroups` and
            `published_alignment`.
    Raises:
        ValueError: towers without classes, or a value out of range.
    """

    def __init__(
        self,
        towers: AlignedTowers,
        *,
        labels: str = "joint",
        thresholds: Thresholds = PUBLISHED_THRESHOLDS,
        weights: TermWeights = PUBLISHED_WEIGHTS,
        pace: TeacherPace = PUBLISHED_PACE,
        alignment_temperature: float = ALIGNMENT_TEMPERATURE,
        is_masked: bool = True,
        has_frozen_groups: bool = True,
        published_losses: bool = False,
    ):
        super().__init__()
        if not towers.class_names:
            raise ValueError("self-training needs towers with classes of their own: call set_classes")
        if not 0 < alignment_temperature < math.inf:
            raise ValueError(f"alignment_temperature must be > 0, got {alignment_temperature}")
        self.labels, self.thresholds, self.pace = labels, thresholds, pace
        self.branches = trained_branches(labels)
        self.weight = weights
        self.alignment_weight = self._alignment_weight()
        self.alignment_temperature, self.published_losses = alignment_temperature, published_losses
        self.student = towers.requires_grad_(True)
        self.teacher = copy.deepcopy(towers).requires_grad_(False)
        self.point_encoder = towers.point_encoder  # the same module a second time, under the name of every method
        self.masked_images = self.masked_groups = None
        options = {"is_published": published_losses}
        if is_masked and "image" in self.branches and mask_grid(towers.image_encoder):
            self.masked_images = MaskedImages(towers.image_encoder, **options)
        if is_masked and "points" in self.branches and isinstance(towers.point_encoder, PointBERT):
            self.masked_groups = MaskedGroups(towers.point_encoder, towers.text_dim, **options)
        self.unused = self._freeze(has_frozen_groups)
        # Of the rows since `take_counts`: their number, and how many labels of each branch were trusted.
        self.register_buffer("counts", torch.zeros(1 + len(self.branches), dtype=torch.float64))

    def _alignment_weight(self) -> float:
        if self.weight.alignment is None:
            return 1.0 if shares_labels(self.labels) else 0.0
        if self.weight.alignment and len(self.branches) < 2:
            raise ValueError(f"--labels {self.labels} trains one branch, which cannot be aligned: --alignment_weight 0")
        return self.weight.alignment

    def _freeze(self, has_frozen_groups: bool) -> list[nn.Module]:
        """Freeze what no term reaches, and return what stays in eval mode."""
        student, frozen = self.student, []
        if "points" not in self.branches:
            frozen += [student.point_encoder, student.point_projection]
        if "image" not in self.branches:
            frozen += [student.image_encoder, student.image_projection]
        if has_frozen_groups and isinstance(student.point_encoder, PointBERT):
            frozen.append(student.point_encoder.encoder)
        for part in frozen:
            part.requires_grad_(False)
        return frozen

    def frozen_parts(self) -> Iterable[nn.Module]:
        return [self.teacher, *self.unused]

    @property
    def notes(self) -> list[str]:
        """Lines for people: which towers are not masked, and why."""
        found = []
        if "image" in self.branches and self.masked_images is None:
            found.append("images: no patch is hidden, the terms masked and local are left out")
        if "points" in self.branches and self.masked_groups is None:
            found.append("points: no group is hidden, the terms masked and local are left out")
        why = "; only CLIP's vision transformers and Point-BERT have tokens to hide, and --no-masked hides none"
        return [line + why for line in found]

    def forward(self, batch: Batch) -> Terms:
        """Return the weighted loss terms of one batch.

        Args:
            batch: image_weak, image_strong (B, 3, S, S), image_mask (B, G, G) where images are masked; points_weak,
                points_strong (B, N, 3), points_draws (B, 2); those of the branches in use; given (B,) int64 where a
                person has given labels, -1 for none.
        Returns:
            "loss/label_image", "loss/fair_image", "loss/masked_image", "loss/local_image", the same for points, and
            "loss/alignment": those that there are.
        """
        chosen = pseudo_labels(self._teach(batch), self.labels, self.thresholds)
        if "given" in batch:
            chosen = with_given(chosen, batch["given"])
        self._count(chosen, len(batch["index"]))
        embeddings, terms = {}, {}
        for branch in self.branches:
            embeddings[branch], seen = self._see(branch, batch)
            factor = self.weight.points if branch == "points" else 1.0
            logits = _logits(self.student, embeddings[branch])
            terms[f"loss/label_{branch}"] = factor * sure_cross_entropy(logits, chosen[branch])
            terms[f"loss/fair_{branch}"] = factor * self.weight.fairness * fairness(logits)
            if seen is not None:
                terms[f"loss/masked_{branch}"] = factor * self.weight.masked * seen.masked
                terms[f"loss/local_{branch}"] = factor * self.weight.local * seen.local
        if self.alignment_weight:
            terms["loss/alignment"] = self.alignment_weight * self._align(**embeddings)
        return terms

    @torch.no_grad()
    def _teach(self, batch: Batch) -> dict[str, Tensor]:
        embed = {"image": self.teacher.embed_images, "points": self.teacher.embed_points}
        embeddings = {branch: embed[branch](batch[f"{branch}_weak"]) for branch in self.branches}
        return {branch: _logits(self.teacher, rows).softmax(dim=1) for branch, rows in embeddings.items()}

    def _see(self, branch: str, batch: Batch) -> tuple[Tensor, Seen | None]:
        """Embed the strong input of a branch, in part hidden where its tower can be masked. Shape: -> (B, D)."""
        student, strong = self.student, batch[f"{branch}_strong"]
        if branch == "image":
            if self.masked_images is None:
                return student.embed_images(strong), None
            tower, projection = student.image_encoder, student.image_projection
            seen = self.masked_images(tower, projection, strong, batch["image_mask"])
        else:
            if self.masked_groups is None:
                return student.embed_points(strong), None
            projection = student.point_projection
            seen = self.masked_groups(student.point_encoder, strong, batch["points_draws"])
        return unit_rows(projection(seen.feature)), seen

    def _align(self, image: Tensor, points: Tensor) -> Tensor:
        if self.published_losses:
            return published_alignment(points, image)
        return 2 * matching_loss(points, image, points.new_tensor(1 / self.alignment_temperature))

    def _count(self, chosen: Mapping[str, Any], num_rows: int) -> None:
        sure = torch.stack([count_sure(chosen[branch].is_sure) for branch in self.branches])
        rows = count_sure(torch.ones(num_rows, dtype=torch.bool, device=sure.device))
        self.counts += torch.cat([rows[None], sure])

    def take_counts(self) -> dict[str, float]:
        """Return the share of trusted labels of each branch since the last call, over all ranks, and count anew."""
        rows, *sure = self.counts.tolist()
        self.counts.zero_()
        return {f"labels/sure_{branch}": count / max(rows, 1.0) for branch, count in zip(self.branches, sure)}

    def after_update(self, step: int) -> None:
        """Move the teacher towards the student; whole numbers, such as counters of batches, are copied."""
        move_towards(self.teacher, self.student, 1 - self.pace.decay(step))

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return the student's point encoder, and the towers of student and teacher with their classifiers."""
        point = export_state(self.point_encoder, encoder_name(self.point_encoder), k=self.student.k)
        return {"point": point, "student": self.student.weight_state(), "teacher": self.teacher.weight_state()}


def _logits(towers: AlignedTowers, embedding: Tensor) -> Tensor:
    """Compare embeddings with the towers' own classes, in at least float32 under autocast too. (B, D) -> (B, Y)."""
    with torch.autocast(embedding.device.type, enabled=False):
        return towers.logits(embedding, towers.classifier)
