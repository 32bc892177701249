"""The labelled clouds of a part segmentation, as flags name them."""

from dataclasses import dataclass

from datasets.parts.part_task import PartTask
from datasets.parts.shapenet_part import ShapeNetPart
from utils.settings import flag
from utils.training.finetuning import LabelFraction


@dataclass(frozen=True)
class PartSetSettings(LabelFraction):
    """Which set of part labels is read, and how much of it."""

    data_root: str = flag(
        "data", "folder of the data sets (default: the environment variable CROSSPOINT_DATA, else data)", is_free=True
    )
    num_points: int = flag(2048, "the first so many of each cloud, in file order", at_least=1)
    class_choice: str = flag("", "train and test on this category alone")
    parts: str = flag("", 'JSON of categories and parts, {"chair": ["back", "seat"], ...}')
    select: str = flag("val", "the epoch that is kept and tested", choices=("val", "last"))


def read_training_clouds(
    task: PartTask, settings: PartSetSettings, seed: int
) -> tuple[ShapeNetPart, ShapeNetPart | None]:
    """Read the clouds to train on, and those that choose the epoch; with --select last all are trained on.

    Args:
        seed: of the labelled clouds.
    """
    options = {"num_points": settings.num_points, "label_fraction": settings.label_fraction, "seed": seed}
    if settings.select == "last":
        return task.read(settings.data_root, "trainval", **options), None
    return task.read(settings.data_root, "train", **options), task.read(settings.data_root, "val", **options)
