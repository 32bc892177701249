"""Finished runs to ship, weights in a folder of their own, and what must hold of all shipped weights."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

from models.encoders.registry import build_encoder
from models.weights import shipped
from models.weights.published import export_state, load_encoder
from models.weights.safe_file import safe_bytes
from models.weights.weight_file import read_weights
from tests.support.entry_programs import write_encoder
from utils.evaluation.features import extract_features
from utils.results.shipping import MOST_BYTES, example_cloud
from utils.run.provenance import file_sha256
from utils.run.run_note import note_run
from utils.settings import Record

FLAGS = {
    "model_path": "", "num_points": 61, "seed": 3, "image_teacher_labels": "none", "image_weights": "none",
    "cmid_weight": 0.0, "data_root": "data",
}  # fmt: skip
_WORDS = ("name", "model", "feature_dim", "num_points", "licence", "seed", "commit", "machine", "hours", "sources")


def write_finished_run(folder: Path, model: str = "pointnet", **flags: object) -> Path:
    """Write what a finished train_crosspoint.py leaves: untrained weights, its config and its log."""
    path, flags = write_encoder(folder / "models" / "ckpt_epoch_last.pth", model, k=7), FLAGS | flags
    state = read_weights(path)
    note_run(state, "CrossPoint", Record(flags, frozenset({"data_root"})))
    torch.save(state, path)
    session = {"command": "train_crosspoint.py --seed 3", "commit": "abc", "machine": "one core"}
    (folder / "config.json").write_text(json.dumps({**session, "flags": flags}))
    (folder / "metrics.jsonl").write_text('{"epoch": 0, "hours": 0.25}\n')
    return folder


def ship_into(folder: Path, monkeypatch, *names: str, model: str = "pointnet") -> Path:
    """Make `folder` the one of shipped weights, with untrained ones under these names."""
    folder.mkdir()
    monkeypatch.setattr(shipped, "SHIPPED", folder)
    for name in names:
        (folder / f"{name}.safetensors").write_bytes(_untrained(model))
    return folder


@cache
def _untrained(model: str) -> bytes:
    state = export_state(build_encoder(model, 7), model, k=7)
    return safe_bytes(state, {"model": model, "k": 7}, {})


def check_shipped(folder: Path, name: str) -> None:
    """Assert that weights are small, and what their card says of them."""
    path, card = folder / f"{name}.safetensors", json.loads((folder / f"{name}.json").read_text())
    assert path.stat().st_size == card["bytes"] <= MOST_BYTES
    assert file_sha256(path) == card["sha256"]
    assert card["name"] == name
    assert [word for word in _WORDS if not card[word] and card[word] != 0] == []
    assert card["labels"] == "none"
    assert card["train_commands"]
    assert card["run"]["settings"]["seed"] == card["seed"]
    assert all(source["licence"] and source["shapes"] > 0 for source in card["sources"])
    assert (folder / f"{name}.metrics.jsonl").read_text().strip()
    loaded = load_encoder(path, card["model"], card["k"])
    feature = extract_features(loaded.encoder, example_cloud(card["num_points"]))[0]
    assert np.isfinite(feature).all()
    expected = np.array(card["example"])
    distance = np.linalg.norm(feature[: len(expected)] - expected) / np.linalg.norm(expected)
    # Rounding decides between neighbours at equal distances, and processors round differently.
    assert distance < 3e-2, f"the feature of the example cloud differs by {distance:.2g}"
