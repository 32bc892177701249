"""The evaluated tasks: their names in tables, the figures kept of their records, and their settings in words."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from models.encoders.registry import EMB_DIMS, ENCODERS, published_width
from utils.classification.recipes import RECIPES, changes
from utils.semseg.semseg_settings import BLOCK_EPOCHS, published

Record = Mapping[str, Any]


# What every record has and figures must share to stand in one row; `setting_words` adds what its task has.
CONDITIONS = ("dataset", "variant", "split", "model", "k", "num_points", "normalize", "task", "protocol")


class Task(NamedTuple):
    """One task of the evaluation programs.

    `title` heads its table. `names` gives the name of each protocol in a table: a format over the columns of a row,
    "{c}" and "{setting}" among them. `figures` of a record become rows, `shown` of them lines of a table. `setting`
    puts into words what of a record belongs to this task alone, first what heads a row of the page, "" for nothing.
    """

    title: str
    names: dict[str, str]
    figures: tuple[str, ...]
    shown: tuple[str, ...]
    setting: Callable[[Record], list[str]] = lambda record: [""]


def _few_shot_setting(record: Record) -> list[str]:
    return [
        f"{record['k_way']}-way {record['m_shot']}-shot",
        f"{record['n_query']} queries",
        f"{record['n_runs']} runs",
        *([f"folds {record['folds_sha256'][:12]}"] if record.get("folds_sha256") else []),
    ]


def _labels_setting(record: Record) -> list[str]:
    words = [f"{100 * record.get('label_fraction', 1.0):g} % of labels"]
    words += ["frozen encoder"] if record.get("frozen") else []
    words += [f"{record['voting']} votes"] if record.get("voting") else []
    return [*words, *changes(record)]


def _gallery_setting(record: Record) -> list[str]:
    copies = [f"{record['num_copies']} copies"] if "num_copies" in record else []
    return ["", f"{record['num_queries']} queries", f"{record['num_gallery']} answers", *copies]


def _names_setting(record: Record) -> list[str]:
    is_trained, has_prototypes = record.get("classifier") == "trained", record.get("prototype_share")
    classifier = "classifier of the towers" if is_trained else f"{record['num_prompts']} prompts by {record['text']}"
    return ["", f"{record['num_classes']} classes", classifier, *(["prototypes"] if has_prototypes else [])]


def _rooms_setting(record: Record) -> list[str]:
    usual = dict(published(record.get("model", "sr_unet").split()[0], record["dataset"]))
    if usual["steps"] == record["steps"] is None:
        usual["epochs"] = BLOCK_EPOCHS
    changed = {name: record[name] for name, value in usual.items() if name not in CONDITIONS and record[name] != value}
    return [
        f"{100 * record['label_fraction']:g} % of the rooms",
        *([f"{record['probe']} probe"] if record["probe"] != "none" else []),
        *([f"{record['voting']} votes"] if record["voting"] else []),
        *(f"{name} {f'{value:g}' if isinstance(value, float) else value}" for name, value in changed.items()),
    ]


def _detection_setting(record: Record) -> list[str]:
    words = [f"{record['num_proposals']} proposals", f"{record['epochs']} epochs of {record['batch_size']}"]
    words += [f"lr {record['lr']:g}", f"points with {record['inputs']}"]
    words += ["votes learn alone"] if record.get("detach_votes") else []
    words += ["mean sizes of train"] if record["mean_sizes"] == "train" else []
    words += [f"voxels of {record['voxel_size']:g} m"] if "voxel_size" in record else []
    words += [f"plan {record['plan']}"] if "plan" in record else []
    return [*words, f"evaluated with {record['eval_sampling']}"]


_ACCURACIES = ("accuracy", "mean_class_accuracy")
TASKS = {
    "linear_svm": Task(
        "Linear SVM on frozen features",
        {
            "published": "linear SVM, published: C {c}, unscaled",
            "fair": "linear SVM, fair: scaled, C by cross-validation",
            "linear_c1": "linear SVM, C 1, unscaled",
            "fair_cv": "linear SVM, fair, 5-fold cross-validation on train",
        },
        _ACCURACIES,
        ("accuracy",),
    ),
    "rbf_svm": Task(
        "SVM with an RBF kernel on frozen features",
        {
            "rbf": "RBF SVM, C 1, gamma by the variance, unscaled",
            "rbf_grid": "RBF SVM, C and gamma by cross-validation, unscaled",
        },
        _ACCURACIES,
        ("accuracy",),
    ),
    "nearest_neighbour": Task(
        "Nearest neighbour in feature space",
        {"knn": "nearest neighbour, cosine", "knn_loo": "nearest neighbour, cosine, leave one out on train"},
        _ACCURACIES,
        ("accuracy",),
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
        {name: f"fine-tuning, {name} recipe, {{setting}}" for name in RECIPES},
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
    "semantic_segmentation": Task(
        "Semantic segmentation of rooms",
        {
            "blocks": "semantic segmentation, points drawn of blocks, {setting}",
            "whole_rooms": "semantic segmentation, points of whole rooms, {setting}",
        },
        ("miou", *_ACCURACIES),
        ("miou", "mean_class_accuracy"),
        _rooms_setting,
    ),
    "retrieval": Task(
        "Retrieval between images and shapes",
        {
            "image_to_shape": "retrieval, picture to shape, {setting}",
            "shape_to_image": "retrieval, shape to picture, {setting}",
            "plain_picture": "retrieval, plain picture to shape, {setting}",
            "cut_picture": "retrieval, picture cut out to shape, {setting}",
            "furnished_picture": "retrieval, picture in a room to shape, {setting}",
        },
        ("recall_1", "recall_5", "recall_10", "map", "precision_1", "precision_10"),
        ("recall_1", "map", "precision_10"),
        _gallery_setting,
    ),
    "detection": Task(
        "Detection of objects in rooms",
        {
            "iou25": "detection, overlap above 0.25, {setting}",
            "iou50": "detection, overlap above 0.5, {setting}",
        },
        ("map", "average_recall"),
        ("map", "average_recall"),
        _detection_setting,
    ),
    "zero_shot": Task(
        "Zero-shot classification by class names",
        {
            "points": "zero-shot, points, {setting}",
            "image": "zero-shot, one view, {setting}",
            "views": "zero-shot, all views, {setting}",
            "both": "zero-shot, points and all views, {setting}",
        },
        ("accuracy", "top5_accuracy", "mean_class_accuracy"),
        ("accuracy", "top5_accuracy"),
        _names_setting,
    ),
}
FIGURE_NAMES = {
    "accuracy": "accuracy",
    "top5_accuracy": "top-5 accuracy",
    "mean_class_accuracy": "mean class accuracy",
    "miou": "mIoU",
    "miou_instance": "instance mIoU",
    "miou_class": "class mIoU",
    "recall_1": "recall@1",
    "recall_5": "recall@5",
    "recall_10": "recall@10",
    "map": "mAP",
    "average_recall": "average recall",
    "precision_1": "category precision@1",
    "precision_10": "category precision@10",
}


def width_words(record: Record) -> list[str]:
    """Return the width of the encoder's embedding in words; nothing for the published one, which old records omit."""
    model = record.get("model")
    published = published_width(model) if model in ENCODERS else EMB_DIMS
    width = record.get("emb_dims", published)
    return [] if width == published else [f"emb_dims {width}"]


def encoder_words(record: Record) -> list[str]:
    """Return in words what is unusual about a record's features: width, layers, copies averaged, whitening."""
    layers = [f"{record['layers']} layers"] if record.get("layers") else []
    copies = [f"mean of {record['copies']} turned copies"] if record.get("copies") else []
    whitened = [f"whitened at {record['whiten']:g}"] if record.get("whiten") else []
    return [*width_words(record), *layers, *copies, *whitened]


def setting_words(record: Record) -> list[str]:
    """Return what of a record belongs to its task alone, in words: first the main one, "" if there is none.

    What is unusual about its features is added.

    Raises:
        KeyError: a field of the task is missing, or the task is unknown.
    """
    return [*TASKS[record["task"]].setting(record), *encoder_words(record)]


def setting_of(record: Record) -> str:
    """Join `setting_words`, as the column `setting` of a row."""
    return ", ".join(filter(None, setting_words(record)))


def fixed_c(record: Record) -> Any:
    """Return C of an SVM where the protocol fixes it; the fair protocol chooses its own each time."""
    return record.get("c") if record.get("protocol") == "published" else None


def figures_of(record: Record) -> dict[str, float]:
    """Return the figures of a record that are kept, by name.

    Raises:
        KeyError: there is none, or the task is unknown.
    """
    found = {name: record[name] for name in TASKS[record["task"]].figures if name in record}
    if not found:
        raise KeyError(TASKS[record["task"]].figures[0])
    return found


def protocol_name(row: Record) -> str:
    """Return what a table calls task and protocol of a row, with its setting, such as features that were whitened."""
    name = TASKS[row["task"]].names.get(row["protocol"], row["protocol"])
    shown = name.format(**row)
    return shown if "{setting}" in name or not row["setting"] else f"{shown}, {row['setting']}"
