"""From what VoteNet proposes to detections: decoded boxes, without empty ones and those that others suppress.

Source: ap_helper.py and nms.py of facebookresearch/votenet.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets.detection.scene_boxes import SceneBoxes, envelopes, points_inside
from models.detection.box_code import BoxCode
from models.detection.proposals import ProposedBoxes
from utils.detection.box_overlap import aligned_iou
from utils.settings import Settings, flag


class Detections(NamedTuple):
    """Boxes found in a scene with their class, and score (K,) in [0, 1]."""

    boxes: SceneBoxes
    score: np.ndarray


@dataclass(frozen=True)
class DetectionSettings(Settings):
    """How proposals become detections; defaults as published for evaluation."""

    nms_iou: float = flag(0.25, "a box that overlaps a surer one by more is suppressed", above=0, at_most=1)
    nms_by_class: bool = flag(True, "boxes suppress boxes of their own class only")
    min_score: float = flag(0.05, "objectness that a box must exceed", at_least=0, below=1)
    min_box_points: int = flag(5, "points that a box must hold", at_least=0)
    score_every_class: bool = flag(True, "state each box for all classes, with objectness times probability as score")


PUBLISHED_SETTINGS = DetectionSettings()


def decode(boxes: ProposedBoxes, code: BoxCode) -> list[SceneBoxes]:
    """Return the most likely box of every proposal, with its most likely class, of each scene."""
    heading_bin = boxes.heading_scores.argmax(dim=-1)  # (B, P)
    size_bin = boxes.size_scores.argmax(dim=-1)
    heading = code.decode_heading(heading_bin, boxes.heading_rest.gather(2, heading_bin[..., None])[..., 0])
    rest = boxes.size_rest.gather(2, size_bin[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
    columns = (boxes.centre, code.decode_size(size_bin, rest), heading, boxes.class_scores.argmax(dim=-1))
    return [SceneBoxes(*scene) for scene in zip(*map(_numpy, columns))]


def detect(
    boxes: ProposedBoxes, points: Tensor, code: BoxCode, settings: DetectionSettings = PUBLISHED_SETTINGS
) -> list[Detections]:
    """Return the detections of each scene.

    Boxes with a side that is not positive hold no volume, and are left out.

    Args:
        points: (B, N, 3 or more), by which empty boxes are known.
    """
    objectness = _numpy(boxes.objectness.softmax(dim=-1)[..., 1])  # (B, P)
    probability = _numpy(boxes.class_scores.softmax(dim=-1))  # (B, P, Y)
    scenes = zip(decode(boxes, code), objectness, probability, _numpy(points[..., :3]))
    return [_detect(*scene, settings) for scene in scenes]


def _detect(
    boxes: SceneBoxes, objectness: np.ndarray, probability: np.ndarray, points: np.ndarray, settings: DetectionSettings
) -> Detections:
    kept = np.flatnonzero((boxes.size > 0).all(axis=1))
    if settings.min_box_points:
        kept = kept[points_inside(points, boxes.take(kept)).sum(axis=1) >= settings.min_box_points]
    label = boxes.label[kept] if settings.nms_by_class else np.zeros(len(kept), np.int64)
    kept = kept[suppress(envelopes(boxes.take(kept)), objectness[kept], label, settings.nms_iou)]
    kept = kept[objectness[kept] > settings.min_score]
    boxes, objectness, probability = boxes.take(kept), objectness[kept], probability[kept]
    if not settings.score_every_class:
        return Detections(boxes, objectness)
    num_classes = probability.shape[1]
    every = boxes.take(np.repeat(np.arange(len(kept)), num_classes))
    every = every._replace(label=np.tile(np.arange(num_classes), len(kept)))
    return Detections(every, (probability * objectness[:, None]).ravel())


def suppress(extent: np.ndarray, score: np.ndarray, label: np.ndarray, most: float) -> np.ndarray:
    """Keep boxes, the surest first, that overlap no kept one of their label by more than `most`.

    As published, boxes are compared by their envelopes, turned ones too. Of equal scores the first comes first.

    Args:
        extent: (K, 2, 3), see `envelopes`.
        score, label: (K,).
        most: intersection over union.
    Returns:
        The numbers of those kept, surest first.
    """
    conflicts = (aligned_iou(extent, extent) > most) & (label[:, None] == label)
    is_out = np.zeros(len(score), bool)
    kept = []
    for number in np.argsort(-score, kind="stable"):
        if not is_out[number]:
            kept.append(number)
            is_out |= conflicts[number]
    return np.array(kept, dtype=np.int64)


def _numpy(x: Tensor) -> np.ndarray:
    return x.detach().to("cpu", torch.float64 if x.is_floating_point() else x.dtype).numpy()
