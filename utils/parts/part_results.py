"""Scores of a fine-tuned part segmentation network on the test split: table, records, examples."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from datasets.parts.shapenet_part import ShapeNetPart
from utils.evaluation.json_report import result_line, write_report
from utils.parts.part_pictures import PartClouds, write_clouds, write_picture
from utils.parts.part_scores import PROTOCOLS, category_table, part_record, predict_parts, score_parts
from utils.parts.part_training import PartSettings
from utils.parts.part_weights import TrainedNetwork
from utils.run.names import PART_CLOUDS_FILE, PART_PICTURE_FILE
from utils.run.provenance import file_sha256
from utils.settings import flag
from utils.training.finetuning import ScoreSettings


@dataclass(frozen=True)
class PartScoreSettings(ScoreSettings):
    """How a part segmentation network is scored, and what is drawn."""

    num_pictures: int = flag(2, "clouds of each category to show; 0: none", at_least=0, is_free=True)


def score_part_network(
    trained: TrainedNetwork,
    clouds: ShapeNetPart,
    settings: PartSettings,
    scoring: PartScoreSettings,
    device: torch.device,
    *,
    report: Callable[[str], None] = print,
    category: str = "",
    json_file: Path | None = None,
    examples: str = "",
) -> None:
    """Score a network on the test split by both protocols; report the table, write the records and examples.

    Clouds of another number of points than in training are a warning.

    Args:
        clouds: the test split, or those of `category` in it.
        settings: model, k and seed are used.
        json_file: of the records; None writes none.
        examples: prefix of the paths of part_clouds.npz and parts.png, such as "run/"; "" writes none.
    """
    network, path = trained.network.to(device), trained.path
    options = {"batch_size": scoring.test_batch_size, "votes": scoring.votes, "seed": settings.seed}
    predictions = predict_parts(network, clouds, device=device, progress="test", **options)
    scores = score_parts(clouds, predictions)
    digest = file_sha256(path)
    graph = settings.graph_k
    neighbours = "no graph" if graph is None else f"k {graph}"
    report(f"network: {settings.model}, {neighbours}, {path}, sha256 {digest}")
    num_points = clouds.points.shape[1]
    if (trained_with := trained.clouds.get("num_points", num_points)) != num_points:
        report(f"warning: trained with --num_points {trained_with}, scored with {num_points}")
    report(f"data: test split of {clouds.shards[0].parent}, {len(clouds)} shapes, {num_points} points each")
    report(category_table(scores, clouds))
    constants = {
        "dataset": trained.task.dataset,
        "variant": category or None,
        "split": "test",
        "model": settings.model,
        "k": graph,
        "emb_dims": network.emb_dims,
        "network": str(path),
        "network_sha256": digest,
        "voting": scoring.votes if scoring.votes > 1 else False,
        **(trained.training or {"weights": "checkpoint", "checkpoint": str(path), "checkpoint_sha256": digest}),
    }
    records = [part_record(score, clouds, **constants) for score in scores]
    for record in records:
        report(result_line(record))
    write_report(json_file, records)
    if examples and scoring.num_pictures:
        shown = PartClouds.first_of_each(clouds, predictions[PROTOCOLS[0]], scoring.num_pictures)
        write_clouds(Path(f"{examples}{PART_CLOUDS_FILE}"), shown)
        write_picture(Path(f"{examples}{PART_PICTURE_FILE}"), shown)
