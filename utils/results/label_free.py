"""Whether weights that ship learned without labels and from nothing else, by what their run recorded."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.weights.published import PretrainedEncoder
from utils.multiview.image_teacher import NO_LABELS, TEACHER_LABELS

_MARK = "cmid_weight"  # a flag of train_crosspoint.py, which no other program records


def check_run(config_file: Path, config: Mapping[str, Any]) -> None:
    """Refuse a run by what its config.json records.

    Raises:
        ValueError: the run is not of train_crosspoint.py, it began with weights, or labels have entered it.
    """
    words = shlex.split(config.get("command", ""))
    _check(config_file, config["flags"], Path(words[0]).name if words else "a program that it does not name")


def check_weights(path: Path, loaded: PretrainedEncoder) -> None:
    """Refuse a weight file by what it says of the run that made it.

    Raises:
        ValueError: as `check_run`, or the file says nothing of a run, or holds layers that labels have trained.
    """
    run = loaded.stored.get("run") or {}
    made_by = f"the method {run['method']}" if run.get("method") else "a run that it does not name"
    _check(path, run.get("settings", {}), made_by)
    if loaded.report.saw_labels:
        raise ValueError(f"{path} holds a network trained with labels ({loaded.report}): what ships is free of labels")


def _check(where: Path, flags: Mapping[str, Any], made_by: str) -> None:
    """Refuse by recorded flags.

    Args:
        where: the file that holds them.
        made_by: what else it says of its origin, in words.
    """
    if _MARK not in flags:
        raise ValueError(
            f"{where} is not of train_crosspoint.py but of {made_by}: only runs of train_crosspoint.py ship, which "
            "record whether labels have entered them"
        )
    labels = flags.get(TEACHER_LABELS, NO_LABELS)
    if labels != NO_LABELS or flags.get("image_weights", "none") != "none":
        source = f"those of its image teacher, {labels}" if labels != NO_LABELS else "those of its --image_weights"
        raise ValueError(f"labels have entered the run of {where}, {source}: what ships is free of labels")
    if start := flags.get("model_path") or flags.get("pretrained_path"):
        raise ValueError(f"the run of {where} began with the weights {start}: what ships is made by one command alone")
