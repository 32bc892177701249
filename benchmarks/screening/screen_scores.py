"""The scores of a screen, all of them on the train split: the test split is not opened.

A report for each setting and seed lies in `scores/`, beside those of its EMA weights and of random ones.
"""

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.screening.screen_config import Screen, Setting
from benchmarks.screening.screen_runs import Record, Report, read_kept, run_folder, train
from datasets.labelled.labelled_clouds import LabelledClouds
from utils.evaluation.encoder_scores import extract_splits
from utils.evaluation.frozen_encoder import EncoderSettings, load_frozen_encoder
from utils.evaluation.json_report import make_record, result_line, write_report
from utils.evaluation.labelled_set import load_split
from utils.evaluation.nearest_neighbour import leave_one_out_protocol
from utils.evaluation.svm.fair_cv import fair_cv_protocol
from utils.run.names import EMA_WEIGHTS, LAST_WEIGHTS, MODELS_FOLDER

FOLD_SEED = 0  # the same folds for every encoder
RANDOM = "random weights"
_SPLIT = "train"


class Scorer(NamedTuple):
    """What every encoder of a screen is scored with."""

    screen: Screen
    clouds: LabelledClouds
    device: torch.device
    folder: Path
    report: Report

    @classmethod
    def of_screen(cls, screen: Screen, device: torch.device, folder: Path, report: Report) -> "Scorer":
        """Read the train split; raises as `load_split` does."""
        return cls(screen, load_split(screen.labelled, _SPLIT), device, folder, report)

    @property
    def evaluation(self) -> Record:
        """What decides scores beside the encoder, as JSON values."""
        features = self.screen.features
        return asdict(self.screen.labelled) | {"copies": features.copies} | features.unusual

    def path(self, name: str, seed: int) -> Path:
        """Return the file of a report; names of settings have no comma, so that no other name is one of theirs."""
        return self.folder / "scores" / f"{name}_seed{seed}.json"

    def score(self, encoder: EncoderSettings, path: Path, **noted: object) -> None:
        """Score an encoder by both protocols and write the report.

        Args:
            encoder: its seed is recorded as that of the weights.
            noted: entries of the records beside the usual ones.
        """
        frozen = load_frozen_encoder(encoder, self.device)
        splits, labels = {_SPLIT: self.clouds}, self.clouds.labels.numpy()
        rows, constants = extract_splits(
            self.screen.labelled, self.screen.features, frozen, splits, self.device, self.report, self.report
        )
        scores = (fair_cv_protocol(rows[_SPLIT], labels, seed=FOLD_SEED), leave_one_out_protocol(rows[_SPLIT], labels))
        constants |= {"seed": encoder.seed, **noted}
        records = [
            make_record(score, dataset=self.screen.labelled.dataset, split=_SPLIT, **constants) for score in scores
        ]
        for record in records:
            self.report(result_line(record))
        write_report(path, records)


def run_setting(scorer: Scorer, setting: Setting, seed: int, epochs: int) -> list[Record]:
    """Train for `epochs` and score a setting with one seed, or read what is kept of that; return all records of it.

    These are of its last weights, of its EMA weights if it has any, and of random weights of the same network.

    Raises:
        Stopped: the training was told to stop.
        ValueError: the training failed, or what is kept was made with other settings.
    """
    screen, folder = scorer.screen, scorer.folder
    last, average = scorer.path(setting.name, seed), scorer.path(f"{setting.name},ema", seed)
    asked = {"program": setting.program, "flags": setting.flags, "minutes": screen.minutes, "clock": screen.clock}
    asked |= {"evaluation": scorer.evaluation}
    if read_kept(last, asked) is None:
        noted = {"asked": asked, **train(setting, seed, epochs, folder)}
        models = run_folder(folder, setting, seed) / MODELS_FOLDER
        if (models / EMA_WEIGHTS).is_file():
            weights = EncoderSettings(model_path=str(models / EMA_WEIGHTS), seed=seed)
            scorer.score(weights, average, row=f"{setting.name}, EMA", **noted)
        weights = EncoderSettings(model_path=str(models / LAST_WEIGHTS), seed=seed)
        scorer.score(weights, last, row=setting.name, **noted)
    kept = [read_kept(path, asked) for path in (last, average)]
    records = [record for report in kept if report for record in report["results"]]
    return [*records, *_random_records(scorer, records[0], seed)]


def _random_records(scorer: Scorer, like: Record, seed: int) -> list[Record]:
    """Score random weights of the network of a record, or read their records."""
    encoder = {name: like[name] for name in ("model", "k", "emb_dims")}
    path = scorer.path(",".join(["random", *map(str, encoder.values())]), seed)
    asked = {"evaluation": scorer.evaluation}
    if read_kept(path, asked) is None:
        name = f"{RANDOM}, {like['model']}"
        scorer.score(EncoderSettings(random_init=True, seed=seed, **encoder), path, row=name, asked=asked)
    return read_kept(path, asked)["results"]
