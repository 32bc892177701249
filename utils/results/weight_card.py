"""The card of a weight file: task, method, data, settings, transform of clouds, scores with seeds, licence."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.weights.published import PretrainedEncoder
from utils.csv_rows import Row, read_rows
from utils.inference.input_transform import InputTransform
from utils.results.result_records import COLUMNS
from utils.run.provenance import REPO, file_sha256

RECORDS = REPO / "benchmarks" / "accuracies.csv"
_OWN_LICENCE = "MIT, as this repository; the data have terms of their own, see data/README.md there"
_UNKNOWN_LICENCE = "not stated in the file: ask whoever published it"
_SCORE = ("task", "protocol", "setting", "dataset", "variant", "data", "metric", "value", "seed", "eval_seed", "c")


def weight_card(
    path: Path, loaded: PretrainedEncoder, *, reports: Sequence[Path] = (), licence: str = ""
) -> dict[str, Any]:
    """Collect the card (JSON values) of a weight file; null is what the file does not say.

    Args:
        path: the file that the encoder was `loaded` from.
        reports: JSON reports of evaluation programs; records of other weights in them are passed over.
        licence: "" takes this repository's for weights that a run here made.
    Raises:
        FileNotFoundError, ValueError: a report is missing or damaged.
    """
    stored = loaded.stored
    task = "classification" if "classifier" in stored else "part segmentation" if "parts" in stored else None
    if task is None and not loaded.report.saw_labels:
        task = "pre-training"
    transform = InputTransform.of_weights(stored, is_pretrained=task == "pre-training")
    digest = file_sha256(path)
    return {
        "task": task,
        "model": loaded.name,
        "k": getattr(loaded.encoder, "k", None),
        "feature_dim": loaded.encoder.feature_dim,
        "run": stored.get("run"),
        "classes": stored.get("classifier", {}).get("class_names"),
        "parts": stored.get("parts"),
        "clouds": stored.get("clouds", {}),
        "transform": {
            "up_axis": "y",
            "num_points": transform.num_points,
            "scaling": transform.scaling,
            "reason": transform.reason,
        },
        "scores": _scores(digest, reports),
        "licence": licence or (_OWN_LICENCE if stored else _UNKNOWN_LICENCE),
        "checkpoint": str(path),
        "checkpoint_sha256": digest,
    }


def _scores(digest: str, reports: Sequence[Path]) -> list[Row]:
    """Find every figure of a weight file: in the committed records and in the reports given."""
    rows = read_rows(RECORDS, COLUMNS) if RECORDS.is_file() else []
    found = [{name: row[name] for name in _SCORE if row[name]} for row in rows if row["sha256"] == digest]
    for report in reports:
        try:
            records = json.loads(report.read_text(encoding="utf-8"))["results"]
            found += [
                record
                for record in records
                if digest in (record.get("checkpoint_sha256"), record.get("network_sha256"))
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{report} is no report of an evaluation program ({error}); make it by --json") from error
    return found
