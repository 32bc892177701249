"""What the evaluated tasks are called in tables, and which figures of their records are kept."""

from collections.abc import Callable
from typing import Any, NamedTuple

from utils.classification.recipes import changes

Record = dict[str, Any]


class Task(NamedTuple):
    """One task of the evaluation programs.

    `title` is its headline. `names` says how a table calls each protocol: a format over the columns of a row, "{c}" and
    "{setting}" among them. `figures` of a record become rows, `shown` of them lines of a table. `setting` puts into
    words what of a record belongs to the task alone.
    """

    title: str
    names: dict[str, str]
    figures: tuple[str, ...]
    shown: tuple[str, ...]
    setting: Callable[[Record], str] = lambda record: ""


def _few_shot_setting(record: Record) -> str:
    return f"{record['k_way']}-way {record['m_shot']}-shot, {record['n_query']} queries, {record['n_runs']} runs"


def _labels_setting(record: Record) -> str:
    words = [f"{100 * record.get('label_fraction', 1.0):g} % of labels"]
    words += ["frozen encoder"] if record.get("frozen") else []
    words += [f"{record['voting']} votes"] if record.get("voting") else []
    return ", ".join([*words, *changes(record)])


def _gallery_setting(record: Record) -> str:
    copies = f", {record['num_copies']} copies" if "num_copies" in record else ""
    return f"{record['num_queries']} queries, {record['num_gallery']} answers{copies}"


_ACCURACIES = ("accuracy", "mean_class_accuracy")
TASKS = {
    "linear_svm": Task(
        "Linear SVM on frozen features",
        {
            "published": "linear SVM, published: C {c}, unscaled",
            "fair": "linear SVM, fair: scaled, C by cross-validation",
        },
        _ACCURACIES,
        ("accuracy",),
    ),
    "nearest_neighbour": Task(
        "Nearest neighbour in feature space", {"knn": "nearest neighbour, cosine"}, _ACCURACIES, ("accuracy",)
    ),
    "few_shot": Task(
        "Few-shot classification",
        {"published": "few-shot, {setting}", "folds": "few-shot, fixed folds, {setting}"},
        ("accuracy",),
        ("accuracy",),
        _few_shot_setting,
    ),
    "finetune_cls": Task(
        "Fine-tuned classification",
        {name: f"fine-tuning, {name} recipe, {{setting}}" for name in ("published", "dgcnn")},
        _ACCURACIES,
        _ACCURACIES,
        _labels_setting,
    ),
    "part_segmentation": Task(
        "Part segmentation",
        {
            "all_parts": "part segmentation, {setting}, argmax over all parts",
            "category_parts": "part segmentation, {setting}, argmax over the category's parts",
        },
        ("miou_instance", "miou_class", "accuracy"),
        ("miou_instance", "miou_class"),
        _labels_setting,
    ),
    "retrieval": Task(
        "Retrieval between images and shapes",
        {
            "image_to_shape": "retrieval, picture to shape, {setting}",
            "shape_to_image": "retrieval, shape to picture, {setting}",
        },
        ("recall_1", "recall_5", "recall_10", "map"),
        ("recall_1", "map"),
        _gallery_setting,
    ),
}
FIGURE_NAMES = {
    "accuracy": "accuracy",
    "mean_class_accuracy": "mean class accuracy",
    "miou_instance": "instance mIoU",
    "miou_class": "class mIoU",
    "recall_1": "recall@1",
    "recall_5": "recall@5",
    "recall_10": "recall@10",
    "map": "mAP",
}


def setting_of(record: Record) -> str:
    """What of a record belongs to its task alone, in words; "" where there is nothing.

    Raises:
        KeyError: a field of its task is missing, or the task is not known.
    """
    return TASKS[record["task"]].setting(record)


def figures_of(record: Record) -> dict[str, float]:
    """Figures of a record that are kept, by name.

    Raises:
        KeyError: there is none, or the task is not known.
    """
    found = {name: record[name] for name in TASKS[record["task"]].figures if name in record}
    if not found:
        raise KeyError(TASKS[record["task"]].figures[0])
    return found


def protocol_name(row: dict[str, str]) -> str:
    """How a table calls task and protocol of a row."""
    return TASKS[row["task"]].names.get(row["protocol"], row["protocol"]).format(**row)
