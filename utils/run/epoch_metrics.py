"""metrics.jsonl of a run, read back."""

import json
from pathlib import Path

from utils.run.names import METRICS_FILE


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    """Read one object per epoch; of an epoch trained twice, before and after an interruption, the later one.

    Raises:
        FileNotFoundError: the run has no metrics.jsonl.
        ValueError: no epoch in it, or a line that is not such an object.
    """
    path = run_dir / METRICS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; is {run_dir} the folder of a training run?")
    by_epoch = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            record = json.loads(line)
            by_epoch[int(record["epoch"])] = record
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} line {number} is not an object with an epoch: {line[:80]!r}") from error
    if not by_epoch:
        raise ValueError(f"{path} is empty: the run has not finished an epoch yet")
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]
