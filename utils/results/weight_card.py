"""The card of a weight file: task, method, data, settings, transform of clouds, scores with seeds, licence."""

import json
from collections.abc import Iterable, Mapping, Sequence
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
_WEIGHTS = (("network_sha256", "network"), ("checkpoint_sha256", "checkpoint"))  # digest and file, in records
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
        reports: JSON reports of evaluation programs, each of which has a record of these weights; those of others in
            it are passed over.
        licence: "" takes that of earlier cards, or this repository's for weights that a run here made.
        beside: folder of earlier cards; those of the same weights, and the one in `path`, hand on scores and licence.
    Raises:
        FileNotFoundError, ValueError: a report is missing, damaged or of other weights, or a card is damaged.
    """
    stored = loaded.stored
    task = "classification" if "classifier" in stored else "part segmentation" if "parts" in stored else None
    if task is None and not loaded.report.saw_labels:
        task = "pre-training"
    transform = InputTransform.of_weights(stored, is_pretrained=task == "pre-training")
    digest = file_sha256(path)
    earlier = [stored["card"]] if stored.get("card") else []
    earlier += _cards_in(beside, digest) if beside else []
    digests = [digest, *(card["checkpoint_sha256"] for card in earlier)]
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
        "scores": _distinct([*(row for card in earlier for row in card["scores"]), *_scores(path, digests, reports)]),
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


def _scores(path: Path, digests: Sequence[str], reports: Sequence[Path]) -> list[Row]:
    """Find every figure of a weight file in the committed records and in the reports given.

    Args:
        digests: of the file, then of those that hold the same weights.
    """
    rows = read_rows(RECORDS, COLUMNS) if RECORDS.is_file() else []
    found = [{name: row[name] for name in _SCORE if row[name]} for row in rows if row["sha256"] in digests]
    for report in reports:
        try:
            records = json.loads(report.read_text(encoding="utf-8"))["results"]
            own = [record for record in records if any(record.get(digest) in digests for digest, _ in _WEIGHTS)]
            others = ", ".join(dict.fromkeys(map(_weights_of, records)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{report} is no report of an evaluation program ({error}); make it by --json") from error
        if not own:
            raise ValueError(
                f"{report} has no figure of {path} (sha256 {digests[0]}), but of {others or 'no weights'}: score these "
                "weights, or leave this report out"
            )
        found += own
    return found


def _weights_of(record: Mapping[str, Any]) -> str:
    """Say which weights a record is of."""
    for digest, name in _WEIGHTS:
        if record.get(digest) or record.get(name):
            return f"{record.get(name)} (sha256 {record.get(digest)})"
    return "random weights"
