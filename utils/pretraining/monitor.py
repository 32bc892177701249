"""Scores between the epochs of a pre-training: a linear SVM on a held-out part of a labelled set's train split."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from datasets.labelled.stratified import stratified_split
from models.encoders.registry import check_neighbours
from utils.evaluation.labelled_set import DATASETS, LabelledSetSettings, load_split, size_warning
from utils.evaluation.svm.linear_svm import LinearProbe
from utils.settings import Settings, flag

VAL_FRACTION = 0.2


@dataclass(frozen=True)
class MonitorSettings(Settings):
    """Labelled data that score the encoder between epochs, and on its test split at the end."""

    eval_freq: int = flag(1, "epochs between linear SVMs on held-out val; 0: never", at_least=0)
    eval_dataset: str = flag("auto", "labelled set; auto takes the first found", choices=("auto", *DATASETS))
    eval_num_points: int = flag(1024, "the first so many of each labelled cloud", at_least=1)
    normalize: bool = flag(
        False, "evaluation clouds centred and scaled to the unit sphere; the published protocol does not"
    )
    test_batch_size: int = flag(16, "clouds per forward pass in evaluation", at_least=1, is_free=True)

    def labelled_set(self, data_root: str) -> LabelledSetSettings:
        """Return the labelled set; "auto" takes the first whose train split is below the data root.

        Raises:
            FileNotFoundError: "auto" finds none.
        """
        name = _first_found(data_root) if self.eval_dataset == "auto" else self.eval_dataset
        return LabelledSetSettings(
            dataset=name, data_root=data_root, num_points=self.eval_num_points, normalize=self.normalize
        )


class Monitor(LinearProbe):
    """Accuracy of a linear SVM on the held-out fifth of a labelled set's train split.

    Opens the test split too, so that a fault in it shows before the training and not after, but never scores it.

    Args:
        labelled: the set.
        device: where features are computed.
        freq: epochs between calls.
        batch_size: clouds per forward pass.
    Raises:
        FileNotFoundError: a split is missing.
        ValueError: the set is damaged, or too small to hold out part of a class.
    """

    def __init__(self, labelled: LabelledSetSettings, device: torch.device, *, freq: int, batch_size: int):
        train, _ = load_split(labelled, "train"), load_split(labelled, "test")
        fit, val = stratified_split(train.labels, val_fraction=VAL_FRACTION, seed=0)
        if len(val) == 0 or len(train.labels[fit].unique()) < 2:
            raise ValueError(
                f"{train.shards[0].parent} cannot be split for held-out scores: its {len(train)} train clouds must "
                "be of two classes or more, one of them with two clouds"
            )
        self.freq = freq
        self.description = (
            f"linear SVM on {labelled.dataset}: {len(fit)} train clouds fit, {len(val)} held out of train"
        )
        self.warning = None if labelled.normalize else size_warning(train.points)
        sets = train.points[fit], train.labels[fit], train.points[val], train.labels[val]
        super().__init__(*sets, labelled.dataset, device, batch_size)


def find_monitor(
    settings: MonitorSettings, data_root: str, model: str, k: int, device: torch.device, report: Callable[[str], None]
) -> Monitor | None:
    """Open the labelled set that scores the encoder between epochs.

    Args:
        model, k: of the encoder.
        report: called with lines for people.
    Returns:
        None, after reporting it, where --eval_freq is 0 or nothing was found; the last model then counts as the best.
    Raises:
        FileNotFoundError: the set that --eval_dataset names is missing.
        ValueError: the set is damaged or too small.
    """
    without = "no held-out SVM, no test score at the end; the last model counts as the best"
    if settings.eval_freq == 0:
        report(f"--eval_freq 0: {without}")
        return None
    try:
        labelled = settings.labelled_set(data_root)
    except FileNotFoundError:
        report(f"warning: no labelled data in {data_root}: {without}")
        return None
    points = f"--eval_num_points {settings.eval_num_points}"
    check_neighbours(model, k, "eval_num_points", settings.eval_num_points)
    try:
        monitor = Monitor(labelled, device, freq=settings.eval_freq, batch_size=settings.test_batch_size)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(
            f"the labelled data that score the run (--eval_dataset {labelled.dataset}, {points}): "
            f"{error}; or pass --eval_freq 0 to train without scores"
        ) from error
    report(monitor.description)
    if monitor.warning:
        report(f"warning: {monitor.warning}")
    return monitor


def _first_found(data_root: str) -> str:
    for name, dataset in DATASETS.items():
        try:
            dataset.find(data_root, "train")
        except FileNotFoundError:
            continue
        return name
    raise FileNotFoundError(
        f"no labelled data set in {data_root} (looked for {', '.join(DATASETS)}); pass --data_root, or make the "
        "built-in data: python -m data.make_shapes --out data/shapes"
    )
