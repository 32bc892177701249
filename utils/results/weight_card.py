"""The card of a weight file: task, method, data, settings, transform of clouds, scores with seeds, licence."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from models.weights.program_file import ONNX_SUFFIX, PROGRAM_SUFFIX
from models.weights.published import PretrainedEncoder
from models.weights.safe_file import SUFFIX as SAFE_SUFFIX
from utils.csv_rows import Row, read_rows
from utils.inference.input_transform import InputTransform
from utils.results.result_records import COLUMNS
from utils.run.provenance import REPO, file_sha256

EXPORTED = (SAFE_SUFFIX, PROGRAM_SUFFIX, ONNX_SUFFIX)  # of scripts.export; the card has .json behind it
RECORDS = REPO / "benchmarks" / "accuracies.csv"
_OWN_LICENCE = "MIT, as this repository; the data have terms of their own, see data/README.md there"
_UNKNOWN_LICENCE = "not stated in the file: ask whoever published it"
_SCORE = ("task", "protocol", "setting", "dataset", "variant", "data", "metric", "value", "seed", "eval_seed", "c")


def weight_card(
    path: Path,
    loaded: PretrainedEncoder,
    *,
    reports: Sequence[Path] = (),
    licence: str = "",
    beside: Path | None = None,
) -> dict[str, Any]:
    """Collect the card (JSON values) of a weight file; null is what the file does not say.

    Args:
        path: the file that the encoder was `loaded` from.
        reports: JSON reports of evaluation programs; records of other weights in them are passed over.
        licence: "" takes that of earlier cards, or this repository's for weights that a run here made.
        beside: folder of earlier cards; those of the same weights, and the one in `path`, hand on scores and licence.
    Raises:
        FileNotFoundError, ValueError: a report is missing or damaged, or a card is damaged.
    """
    stored = loaded.stored
    task = "classification" if "classifier" in stored else "part segmentation" if "parts" in stored else None
    if task is None and not loaded.report.saw_labels:
        task = "pre-training"
    transform = InputTransform.of_weights(stored, is_pretrained=task == "pre-training")
    digest = file_sha256(path)
    earlier = [stored["card"]] if stored.get("card") else []
    earlier += _cards_in(beside, digest) if beside else []
    digests = {digest, *(card["checkpoint_sha256"] for card in earlier)}
    licences = [licence, *(card["licence"] for card in earlier), _OWN_LICENCE if stored else _UNKNOWN_LICENCE]
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
        "scores": _distinct([*(row for card in earlier for row in card["scores"]), *_scores(digests, reports)]),
        "licence": next(filter(None, licences)),
        "checkpoint": str(path),
        "checkpoint_sha256": digest,
    }


def _cards_in(folder: Path, digest: str) -> list[dict[str, Any]]:
    """Read the cards that earlier exports of the weights with this digest left in a folder."""
    cards = []
    for path in sorted(path for suffix in EXPORTED for path in folder.glob(f"*{suffix}.json")):
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is a damaged card ({error}): mend or remove it") from error
        if isinstance(card, dict) and card.get("checkpoint_sha256") == digest:
            cards.append(card)
    return cards


def _distinct(rows: Iterable[Row]) -> list[Row]:
    found: list[Row] = []
    for row in rows:
        found += [] if row in found else [row]
    return found


def _scores(digests: set[str], reports: Sequence[Path]) -> list[Row]:
    """Find every figure of a weight file, by its digests: in the committed records and in the reports given."""
    rows = read_rows(RECORDS, COLUMNS) if RECORDS.is_file() else []
    found = [{name: row[name] for name in _SCORE if row[name]} for row in rows if row["sha256"] in digests]
    for report in reports:
        try:
            records = json.loads(report.read_text(encoding="utf-8"))["results"]
            found += [
                record
                for record in records
                if digests & {record.get("checkpoint_sha256"), record.get("network_sha256")}
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{report} is no report of an evaluation program ({error}); make it by --json") from error
    return found
