"""A trained detector on val: mAP and AR, records, a picture of boxes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from datasets.detection.boxed_rooms import BoxedRooms
from models.detection.vote_network import VoteNet
from utils.detection.average_precision import DetectionScore
from utils.detection.detections import DetectionSettings
from utils.detection.detector_training import DetectorScoreSettings
from utils.detection.scene_batches import Scene, detect_scenes, score_scenes
from utils.evaluation.json_report import result_line, write_report
from utils.figures.box_pictures import BoxedPicture, box_panel
from utils.figures.plot_style import save_png
from utils.run.names import BOX_PICTURE_FILE

DRAWN = DetectionSettings(min_score=0.5, score_every_class=False)


def score_detector(
    network: VoteNet,
    rooms: BoxedRooms,
    scenes: Sequence[Scene],
    scoring: DetectorScoreSettings,
    device: torch.device,
    *,
    report: Callable[[str], None],
    json_file: Path,
    folder: Path,
    **constants: Any,
) -> None:
    """Score a network on scenes by the published protocol; report and write the records, and boxes.png.

    Args:
        network: on `device`; it is put in eval mode.
        scenes: of `rooms`, prepared.
        constants: JSON values of the training, for the records.
    """
    network.eval()
    network.pnet.sampling = scoring.eval_sampling
    options = {"batch_size": scoring.test_batch_size, "device": device}
    scores = score_scenes(detect_scenes(network, scenes, **options), scenes, len(rooms.kind.classes))
    report(f"val of {rooms.place}: {len(scenes)} scenes, {sum(len(s.boxes.label) for s in scenes)} boxes")
    report(class_table(scores, rooms.kind.classes))
    constants |= {"eval_sampling": scoring.eval_sampling, "num_test": len(scenes), "data": str(rooms.place)}
    records = [detection_record(score, rooms.kind.classes, **constants) for score in scores]
    for record in records:
        report(result_line(record))
    write_report(json_file, records)
    if scoring.num_pictures:
        shown = scenes[: scoring.num_pictures]
        found = detect_scenes(network, shown, **options, settings=DRAWN)
        pictures = [
            BoxedPicture(name, scene.points, scene.boxes, one.boxes)
            for name, scene, one in zip(rooms.names, shown, found)
        ]
        save_png(box_panel(pictures, rooms.kind.classes), folder / BOX_PICTURE_FILE)


def detection_record(score: DetectionScore, classes: Sequence[str], **constants: Any) -> dict[str, Any]:
    """Make one object of a report's `results`; constants are JSON values of the network and the data."""
    return {
        "task": "detection",
        "protocol": f"iou{100 * score.threshold:.0f}",
        "split": "val",
        "map": score.mean_precision,
        "average_recall": score.mean_recall,
        "ap_by_class": {classes[label]: value for label, value in score.precision.items()},
        "recall_by_class": {classes[label]: value for label, value in score.recall.items()},
        "num_classes": len(classes),
        **constants,
    }


def class_table(scores: Sequence[DetectionScore], classes: Sequence[str]) -> str:
    """Format precision and recall of every class that has a true box, at each threshold, as lines of text."""
    head = "".join(f"  AP@{score.threshold:<4g}  AR@{score.threshold:<4g}" for score in scores)
    rows = [
        (classes[label], [value for score in scores for value in (score.precision[label], score.recall[label])])
        for label in scores[0].precision
    ]
    rows.append(("mean", [value for score in scores for value in (score.mean_precision, score.mean_recall)]))
    width = max(len(name) for name, _ in rows)
    return "\n".join([" " * width + head, *(f"{n:{width}}" + "".join(f"  {v:7.4f}" for v in vs) for n, vs in rows)])
