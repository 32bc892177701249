"""S3DIS by folds: a run for each area tested on, in folders of one, and the scores of all areas together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.scenes.s3dis_rooms import list_areas
from models.encoders.scenes.block_networks import BLOCK_NETWORKS
from utils.evaluation.json_report import result_line, write_report
from utils.processes.collectives import is_main_process
from utils.run.folder import RunSettings, check_same, read_config
from utils.run.names import BEST_MODEL, CONFIG_FILE, RESULTS_FILE
from utils.run.provenance import file_sha256
from utils.run.state import has_state
from utils.semseg.confusion import ConfusionMatrix
from utils.semseg.semseg_program import ProgramSettings, run_area
from utils.semseg.semseg_rooms import count_train, reader_for
from utils.semseg.semseg_scores import BLOCKS, WHOLE_ROOMS, describe_scores
from utils.semseg.semseg_settings import RoomSetSettings
from utils.settings import Record, record

Records = list[dict[str, Any]]


def run_folds(settings: ProgramSettings, device: torch.device) -> None:
    """Run each area, take over those that are finished, and write the scores of all areas together."""
    run, start, room_set, training, scoring, _ = settings
    areas, folds = fold_areas(room_set, run), {}
    read = cache(reader_for(training))  # every room is needed for every area
    if start.model_path:
        raise ValueError(f"--model_path {start.model_path} with --test_area all: {run.folder} holds a network an area")
    for area in areas:
        fold = settings._replace(run=fold_run(run, area), room_set=replace(room_set, test_area=area))
        fold = fold._replace(scoring=replace(scoring, json=""))
        num_rooms = count_train(fold.room_set, training.seed)
        planned = record(*fold._replace(training=training.for_rooms(room_set.dataset, num_rooms)))
        found = None if start.eval else finished_records(fold.run, planned, scoring.votes)
        if found and is_main_process():
            print(f"area {area}: finished before, {fold.run.folder}")
        folds[area] = found or run_area(fold, device, read)
    if is_main_process():
        records = sum_folds(folds)
        for row in records:
            for fold in row["areas"]:
                figures = f"mIoU {fold['miou']:.4f}, accuracy {fold['accuracy']:.4f}"
                print(f"area {fold['test_area']}, {row['protocol']}: {figures}")
            print(result_line(row))
        write_report(scoring.json or ("" if start.eval else run.folder / RESULTS_FILE), records)


def fold_areas(room_set: RoomSetSettings, run: RunSettings) -> list[int]:
    """Return the areas in `data_root`, each of which is tested on once.

    Raises:
        FileNotFoundError: fewer than two of them.
        ValueError: ScanNet, which has no areas; or the folder of the folds holds a run of its own.
    """
    if room_set.dataset != "s3dis":
        raise ValueError(f"--test_area all is for s3dis; {room_set.dataset} has no areas: leave it out")
    areas = list_areas(Path(room_set.data_root))
    if len(areas) < 2:
        raise FileNotFoundError(
            f"{room_set.data_root} has {len(areas)} folders Area_<k>; --test_area all needs two or more: S3DIS has six"
        )
    if has_state(run.folder):
        raise ValueError(f"{run.folder} holds the run of one area; choose another --exp_name for all of them")
    return areas


def fold_run(run: RunSettings, area: int) -> RunSettings:
    """Return the settings of the run that is tested on an area; one that was never begun begins on resuming."""
    fold = replace(run, exp_name=f"{run.exp_name}/area_{area}")
    has_begun = has_state(fold.folder) or (fold.folder / CONFIG_FILE).is_file()
    return replace(fold, resume=run.resume and has_begun)


def finished_records(fold: RunSettings, record: Record, votes: int) -> Records | None:
    """Return the scores of a run that is resumed and was at its end, with as many votes; None where it goes on.

    Raises:
        ValueError: it had other settings, or its files are damaged.
    """
    config, model, results = (fold.folder / name for name in (CONFIG_FILE, BEST_MODEL, RESULTS_FILE))
    if not (fold.resume and config.is_file() and model.is_file() and results.is_file()):
        return None
    check_same(read_config(config)["flags"], record, config)
    records, digest = _read(results), file_sha256(model)
    found = [row for row in records if row.get("network_sha256") == digest and "confusion" in row]
    by_name = {(row.get("protocol"), row.get("voting")): row for row in found}
    wanted = [(BLOCKS, False)] if record.flags["model"] in BLOCK_NETWORKS else []
    wanted += [(WHOLE_ROOMS, number if number > 1 else False) for number in dict.fromkeys((1, votes))]
    return [by_name[name] for name in wanted] if by_name.keys() >= set(wanted) else None


def _read(path: Path) -> Records:
    try:
        return [dict(row) for row in json.loads(path.read_text(encoding="utf-8"))["results"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}); delete it, and the run is scored again") from error


def sum_folds(folds: Mapping[int, Sequence[dict[str, Any]]]) -> Records:
    """Add the confusion matrices of the areas, record by record: each point of any area counts alike.

    What the records of all areas agree in stays in that of the sum; `areas` holds the figures of each area.
    """
    return [_sum(dict(zip(folds, rows))) for rows in zip(*folds.values(), strict=True)]


def _sum(rows: dict[int, dict[str, Any]]) -> dict[str, Any]:
    first = next(iter(rows.values()))
    matrix = ConfusionMatrix(first["num_classes"])
    matrix.counts += np.sum([row["confusion"] for row in rows.values()], axis=0)
    shared = {name: value for name, value in first.items() if all(row.get(name) == value for row in rows.values())}
    figures = ("miou", "accuracy", "mean_class_accuracy", "num_test", "network_sha256")
    return {
        **shared,
        **describe_scores(matrix, first["class_names"]),
        "variant": f"Areas {', '.join(map(str, rows))}",
        "test_area": "all",
        "num_test": sum(row["num_test"] for row in rows.values()),
        "areas": [{"test_area": area} | {name: row[name] for name in figures} for area, row in rows.items()],
    }
