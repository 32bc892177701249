"""Scores of a fine-tuned classifier on a test split, from each cloud as it is and by votes over scaled copies."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from datasets.labelled.labelled_clouds import LabelledClouds
from datasets.labelled.training_clouds import scale_and_shift
from utils.classification.classifier_weights import Report, load_for_test
from utils.evaluation.features import extract_features
from utils.evaluation.json_report import make_record, result_line, write_report
from utils.evaluation.labelled_set import LabelledSetSettings, describe_clouds
from utils.evaluation.protocol_score import score
from utils.files import write_npz
from utils.training.finetuning import ScoreSettings

TASK = "finetune_cls"
VOTE_SCALE = 1.25  # each axis of a copy is scaled by its own factor from U(1 / 1.25, 1.25); nothing is shifted


def class_logits(
    network: nn.Module, points: Tensor, *, votes: int = 0, seed: int = 0, batch_size: int = 32, progress: str = ""
) -> np.ndarray:
    """Compute the logits (M, Y) float32 of clouds (M, N, 3), or their mean over `votes` scaled copies of each cloud.

    A copy is a function of (seed, its number, the cloud's number). Raises what `extract_features` raises.

    Args:
        votes: 0 or 1 takes each cloud as it is.
    """
    if votes <= 1:
        return extract_features(network, points, batch_size=batch_size, progress=progress)
    total = np.zeros(())
    for vote in range(votes):
        copies = np.stack(
            [
                scale_and_shift(cloud, np.random.default_rng((seed, vote, index)), VOTE_SCALE, 0.0)
                for index, cloud in enumerate(points.numpy())
            ]
        )
        name = f"{progress}, vote {vote + 1} of {votes}" if progress else ""
        total = total + extract_features(network, copies, batch_size=batch_size, progress=name)
    return (total / votes).astype(np.float32)


def score_classifier(
    path: str | Path,
    model: str | None,
    clouds: LabelledClouds,
    labelled: LabelledSetSettings,
    scoring: ScoreSettings,
    device: torch.device,
    *,
    report: Report = print,
    json_file: str | Path = "",
    predictions_file: Path | None = None,
) -> None:
    """Score the network at `path` on the test split: one record, and with --votes above 1 another for the votes.

    Args:
        model: the encoder expected; None takes whichever the file holds.
        clouds: the test split of `labelled`.
        predictions_file: .npz with label and predicted (M,) int64, class_names (Y,); of the clouds as they are.
    Raises:
        FileNotFoundError, ValueError: as `load_for_test`.
    """
    network, origin = load_for_test(path, model, clouds, labelled, report)
    labels, data = clouds.labels.numpy(), describe_clouds(labelled, clouds)
    report(f"data: test split of {data['data']}, {len(clouds)} clouds, {labelled.num_points} points each")
    network.to(device)
    own = {key: value for key, value in origin.items() if key not in ("protocol", "class_names")}
    constants = {**own, **data, "num_test": len(clouds)}
    options = {"seed": origin["seed"], "batch_size": scoring.test_batch_size, "progress": "test"}
    records = []
    for votes in (0, scoring.votes) if scoring.votes > 1 else (0,):
        logits = class_logits(network, clouds.points, votes=votes, **options)
        result = score(TASK, origin["protocol"], labels, logits.argmax(axis=1), {"voting": votes})
        records.append(make_record(result, dataset=labelled.dataset, split="test", **constants))
        report(result_line(records[-1]))
        if votes == 0 and predictions_file is not None:
            write_npz(predictions_file, label=labels, predicted=result.predicted, class_names=clouds.class_names)
    write_report(json_file, records)
