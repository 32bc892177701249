"""Zero-shot classification: embeddings of shapes and of their views are compared with those of class names."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix
from torch import Tensor

from models.methods.text_alignment import AlignedTowers
from utils.evaluation.features import check_finite, eval_mode
from utils.evaluation.protocol_score import score
from utils.texts.zero_shot_sets import NamelessShapes, ZeroShotSet

TASK = "zero_shot"
TOP = 5


def own_classifier(towers: AlignedTowers, names: Sequence[str]) -> Tensor:
    """Return the columns of some classes out of the towers' own classifier. Shape: -> (D, Y).

    Raises:
        ValueError: a class that they do not have.
    """
    if missing := [name for name in names if name not in towers.class_names]:
        raise ValueError(
            f"these towers were trained on the classes {', '.join(towers.class_names)}; they do not know "
            f"{', '.join(missing)}"
        )
    return towers.classifier.detach()[:, [towers.class_names.index(name) for name in names]]


def prototypes(embedding: Tensor, logits: Tensor, classifier: Tensor, share: float) -> Tensor:
    """Replace each class by the mean of the most confident inputs that are assigned to it: a baseline without training.

    Args:
        embedding: (M, D) of the inputs to classify, whose labels play no part.
        logits: (M, Y).
        classifier: (D, Y); the column of a class that no input is assigned to is kept.
        share: of the inputs of each class that count, rounded up, in (0, 1].
    Returns:
        (D, Y), columns of unit length where replaced.
    """
    score, label = logits.softmax(dim=1).max(dim=1)
    made = classifier.clone()
    for number in label.unique().tolist():
        rows = (label == number).nonzero()[:, 0]
        best = rows[score[rows].argsort(descending=True, stable=True)[: math.ceil(share * len(rows))]]
        made[:, number] = F.normalize(embedding[best].mean(dim=0), dim=0)
    return made


def zero_shot_logits(
    towers: AlignedTowers,
    shapes: NamelessShapes,
    classifier: Tensor,
    *,
    batch_size: int,
    seed: int,
    prototype_share: float | None = None,
) -> dict[str, np.ndarray]:
    """Compare every shape with every class, by each protocol.

    Args:
        towers: on their device.
        classifier: (D, Y), of the text tower that they were aligned with.
        batch_size: clouds or views per forward pass.
        seed: of the single view of each shape.
        prototype_share: of the inputs of each class that make its prototype, which replaces the class; None: not.
    Returns:
        protocol -> (M, Y) float64: "points"; where all shapes have views and the towers know images also
        "image", one random view of each, "views", the mean of the logits over all views, and "both", the logarithm of
        the mean of the probabilities by "points" and by "views": the surer of both decides.
    Raises:
        ValueError, OSError: a file cannot be read, or an embedding is not finite.
    """
    device = next(towers.parameters()).device
    classifier = classifier.to(device)

    def logits(inputs: Iterator[Tensor], embed: Callable[[Tensor], Tensor]) -> np.ndarray:
        rows: list[Tensor] = []
        while batch := list(islice(inputs, batch_size)):
            rows.append(embed(torch.stack(batch).to(device)))
            check_finite(rows[-1], (len(rows) - 1) * batch_size, "feature")
        embedding = torch.cat(rows)
        found = towers.logits(embedding, classifier)
        if prototype_share is not None:
            found = towers.logits(embedding, prototypes(embedding, found, classifier, prototype_share))
        return found.double().cpu().numpy()

    with eval_mode(towers), torch.inference_mode():
        found = {"points": logits(map(shapes.cloud, range(len(shapes))), towers.embed_points)}
        if not (towers.knows_images and shapes.num_views.all()):
            return found
        places = [(index, view) for index, count in enumerate(shapes.num_views) for view in range(count)]
        size = towers.image_size
        of_views = logits((shapes.view(*place, size) for place in places), towers.embed_images)
    starts = np.cumsum(shapes.num_views) - shapes.num_views
    drawn = np.array([np.random.default_rng((seed, i)).integers(n) for i, n in enumerate(shapes.num_views)])
    found["image"] = of_views[starts + drawn]
    found["views"] = np.add.reduceat(of_views, starts) / shapes.num_views[:, None]
    pair = [log_softmax(found[protocol], axis=1) for protocol in ("points", "views")]
    return found | {"both": np.logaddexp(*pair) - math.log(2)}


def zero_shot_score(logits: np.ndarray, shapes: ZeroShotSet, protocol: str) -> tuple[dict[str, Any], np.ndarray]:
    """Score logits (M, Y).

    Returns:
        Figures and constants for a record (JSON values): top-1 as "accuracy", "top5_accuracy" where there are more
        than five classes, "mean_class_accuracy", "per_class" with the recall and number of shapes of each class that
        has any, "confusion", (Y, Y) numbers of shapes by true class and predicted class, and "predicted", the class of
        each shape; and the predictions (M,).
    """
    names, labels = shapes.class_names, shapes.labels
    predicted = logits.argmax(axis=1)
    result = score(TASK, protocol, labels, predicted, {})
    best = np.argsort(-logits, axis=1, kind="stable")[:, :TOP]
    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    per_class = {
        name: {"accuracy": float(row[number] / row.sum()), "num_shapes": int(row.sum())}
        for number, (name, row) in enumerate(zip(names, counts))
        if row.sum()
    }
    record = {
        "task": TASK,
        "protocol": protocol,
        "accuracy": result.accuracy,
        **({"top5_accuracy": float((best == labels[:, None]).any(axis=1).mean())} if len(names) > TOP else {}),
        "mean_class_accuracy": result.mean_class_accuracy,
        "chance": 1 / len(names),
        "num_test": len(labels),
        "num_classes": len(names),
        "class_names": names,
        "per_class": per_class,
        "confusion": counts.tolist(),
        "predicted": predicted.tolist(),
    }
    return record, predicted
