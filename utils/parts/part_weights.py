"""Part segmentation networks as files: started from a pre-trained encoder, read back after fine-tuning."""

from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from datasets.parts.part_table import PartTable, count_parts, part_names, part_table
from datasets.parts.part_task import PartTask
from models.encoders.part_networks import PART_NETWORKS, build_part_network
from models.encoders.pointnet_seg import PointNetSeg
from models.encoders.registry import EMB_DIMS
from models.weights.published import PretrainedEncoder, embedding_width, import_state, load_encoder, stored_origin
from models.weights.weight_file import check_tensors, read_weights


class TrainedNetwork(NamedTuple):
    """A fine-tuned network, its file, what it was trained for, how, and on which clouds.

    `training` and `clouds` are JSON values, empty for files of others.
    """

    path: Path
    network: nn.Module
    task: PartTask
    training: dict[str, Any]
    clouds: dict[str, Any]


def start_from(network: nn.Module, path: str | Path, name: str, k: int) -> PretrainedEncoder:
    """Copy every encoder tensor of a pre-trained file into `network`; the classifier keeps its own weights.

    A network with a map takes those that the map names, no fewer; the report then counts them as loaded.

    Args:
        network: of `build_part_network`.
        path: weights of a pre-training or of another fine-tuning, ours or published.
        name: a key of PART_NETWORKS, which tells the encoder expected.
        k: neighbours per point.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, of another encoder or width, or a tensor is missing, left over or of another shape: all
            are listed.
    """
    if isinstance(network, PointNetSeg):
        loaded = load_encoder(path, network.pretrained_as, k)
        given = {
            there + key.removeprefix(here): value
            for here, there in network.transfer.items()
            for key, value in loaded.encoder.state_dict().items()
            if key.startswith(here)
        }
        network.load_state_dict(network.state_dict() | given)
        return loaded._replace(report=loaded.report._replace(loaded=sorted(given)))
    loaded = load_encoder(path, name, k, network.emb_dims)
    network.load_state_dict(network.state_dict() | loaded.encoder.state_dict())
    return loaded


def build_for(task: PartTask, name: str, k: int, emb_dims: int = EMB_DIMS, dropout: float = 0.5) -> nn.Module:
    """Build an untrained network of the size a task needs."""
    sizes = {"num_parts": count_parts(task.known), "num_categories": len(task.known), "emb_dims": emb_dims}
    return build_part_network(name, k, **sizes, dropout=dropout)


def origin_of(task: PartTask, training: dict[str, Any], clouds: dict[str, Any]) -> dict[str, Any]:
    """Describe task, training and its clouds for `export_state`, so that `load_part_network` can read them back."""
    return {
        "clouds": clouds,
        "parts": part_names(task.table),
        "dataset": task.dataset,
        "class_choice": task.class_choice,
        "training": training,
    }


def load_part_network(path: str | Path, name: str, k: int, asked: PartTask | None = None) -> TrainedNetwork:
    """Load a fine-tuned network: `models/best_model.pth` of a run here, or a file of CrossPoint's authors.

    Args:
        name: a key of PART_NETWORKS.
        k: neighbours per point.
        asked: the categories and parts expected; None takes those the file names, ShapeNetPart's where it has none.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, no part segmentation network, or trained with another network, k, categories or parts.
    """
    state = read_weights(path)
    stored = stored_origin(state)
    if "method" in state:
        raise ValueError(f"{path} is the state of a training, for --resume: pass models/best_model.pth of its run")
    if (found := stored.get("model", name)) not in PART_NETWORKS:
        raise ValueError(
            f"{path} holds a {found}, which segments nothing yet; expected models/best_model.pth of "
            "train_partseg.py, or for rooms of scripts.train_semseg"
        )
    if "model" in stored and "parts" not in stored and not _has_part_layers(state, found):
        raise ValueError(
            f"{path} holds no part segmentation network; expected models/best_model.pth of a run of train_partseg.py. "
            "To train one on these weights pass them to it as --pretrained_path"
        )
    if stored.get("model", name) != name:
        raise ValueError(
            f"{path} holds a {stored['model']} network, got --model {name}; pass --model {stored['model']}"
        )
    task = asked or PartTask()
    if "parts" in stored:
        task = PartTask(part_table(stored["parts"]), stored["dataset"], stored["class_choice"])
        if asked is not None and asked.table != task.table:
            raise ValueError(
                f"{path} was trained on other categories or parts than those of --parts: "
                f"{_difference(task.table, asked.table)}; without --parts it is tested on its own"
            )
    try:
        check_tensors(state)
        network = build_for(task, name, k, embedding_width(state, name))
        import_state(state, network, name)
    except ValueError as error:
        raise ValueError(f"{path} is no fine-tuned part segmentation network of --model {name}: {error}") from error
    if stored.get("k") not in (None, k):
        raise ValueError(f"{path} was trained with k {stored['k']}, got --k {k}; pass --k {stored['k']}")
    return TrainedNetwork(Path(path), network, task, stored.get("training", {}), stored.get("clouds", {}))


def _has_part_layers(state: dict[str, Any], name: str) -> bool:
    """Return whether a file of ours holds more than the encoder of a part segmentation network of that name."""
    last_layer = {"dgcnn_seg": "conv11.", "pointnet_seg": ""}.get(name, "part_head.")  # pointnet_seg is nothing else
    return any(key.startswith(last_layer) for key in state)


def _difference(trained: PartTable, given: PartTable) -> str:
    for one, other in zip(trained, given):
        if (one.name, one.parts) != (other.name, other.parts):
            return f"{part_names([one])} there, {part_names([other])} in --parts"
    return f"{len(trained)} categories there, {len(given)} in --parts"
