"""One look at the test split with a fine-tuned part segmentation network: table, records, examples."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from datasets.parts.shapenet_part import ShapeNetPart
from utils.evaluation.json_report import result_line, write_report
from utils.parts.part_pictures import PartClouds, write_clouds, write_picture
from utils.parts.part_scores import PROTOCOLS, category_table, part_record, predict_parts, score_parts
from utils.parts.part_weights import TrainedNetwork
from utils.run.provenance import file_sha256


def score_part_network(
    trained: TrainedNetwork,
    path: str | Path,
    clouds: ShapeNetPart,
    args: argparse.Namespace,
    device: torch.device,
    *,
    report: Callable[[str], None],
    category: str = "",
    json_file: Path | None = None,
    examples: str = "",
) -> None:
    """Score a network on the test split by both protocols; print the table, write the records and examples.

    Args:
        trained: the network at `path`.
        clouds: the test split, or those of `category` in it.
        args: test_batch_size, votes, seed, num_points, model, k and num_pictures are used.
        json_file: of the records; None writes none.
        examples: what stands before part_clouds.npz and parts.png in their paths, such as "run/"; "" writes none.
    """
    network = trained.network.to(device)
    predictions = predict_parts(
        network,
        clouds,
        batch_size=args.test_batch_size,
        device=device,
        progress="test",
        votes=args.votes,
        seed=args.seed,
    )
    scores = score_parts(clouds, predictions)
    digest = file_sha256(Path(path))
    graph = None if args.model == "pointnet" else args.k
    neighbours = "no graph" if graph is None else f"k {graph}"
    report(f"network: {args.model}, {neighbours}, {path}, sha256 {digest}")
    report(f"data: test split of {clouds.shards[0].parent}, {len(clouds)} shapes, {args.num_points} points each")
    report(category_table(scores, clouds))
    constants = {
        "dataset": trained.task.dataset,
        "variant": category or None,
        "split": "test",
        "model": args.model,
        "k": graph,
        "network": str(path),
        "network_sha256": digest,
        "voting": args.votes if args.votes > 1 else False,
        **(trained.training or {"weights": "checkpoint", "checkpoint": str(path), "checkpoint_sha256": digest}),
    }
    records = [part_record(score, clouds, **constants) for score in scores]
    for record in records:
        report(result_line(record))
    if json_file:
        write_report(json_file, records)
    if examples and args.num_pictures:
        shown = PartClouds.first_of_each(clouds, predictions[PROTOCOLS[0]], args.num_pictures)
        write_clouds(Path(f"{examples}part_clouds.npz"), shown)
        write_picture(Path(f"{examples}parts.png"), shown)
