"""S3DIS by folds: a run for each area tested on, in folders of one, and the scores of all areas together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from datasets.scenes.s3dis_rooms import list_areas
from utils.run.folder import RunSettings, check_same, read_config
from utils.run.names import BEST_MODEL, CONFIG_FILE, RESULTS_FILE
from utils.run.provenance import file_sha256
from utils.run.state import has_state
from utils.semseg.confusion import ConfusionMatrix
from utils.semseg.semseg_scores import describe_scores
from utils.semseg.semseg_settings import RoomSetSettings
from utils.settings import Record

Records = list[dict[str, Any]]


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
    wanted = {False, votes if votes > 1 else False}
    found = {row.get("voting"): row for row in records if row.get("network_sha256") == digest and "confusion" in row}
    return [found[voting] for voting in sorted(wanted)] if wanted <= found.keys() else None


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
