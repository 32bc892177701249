"""Fine-tuned classifiers as files: written by a training run, read back for the test or by others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets.labelled.labelled_clouds import LabelledClouds
from models.methods.classification import CloudClassifier
from models.weights.published import export_state, load_encoder, stored_origin
from models.weights.weight_file import read_weights
from utils.evaluation.labelled_set import LabelledSetSettings
from utils.run.provenance import file_sha256

_HEAD = "classifier."
Report = Callable[[str], None]


def classifier_state(
    network: CloudClassifier, name: str, k: int, origin: dict[str, Any], clouds: dict[str, Any]
) -> dict[str, Any]:
    """Return what `load_network` reads back: the encoder under its published names, the classifier, and `origin`.

    Args:
        name: of the encoder, a key of ENCODERS.
        origin: what the run records in the file (JSON values), class_names among them.
        clouds: those it was trained on, see `describe_training_clouds`.
    """
    state = export_state(network.point_encoder, name, k=k, clouds=clouds)
    state.update({_HEAD + key: value for key, value in network.classifier.state_dict().items()})
    state._metadata["crosspoint"]["classifier"] = origin
    return state


def load_network(path: str | Path, name: str | None = None) -> tuple[CloudClassifier, dict[str, Any]]:
    """Load a fine-tuned network, `models/best_model.pth` of a run here, and what the run recorded in it.

    Args:
        name: the encoder expected; None takes whichever the file holds.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, of another encoder, or without a classifier.
    """
    state = read_weights(path)
    head = {key.removeprefix(_HEAD): value for key, value in state.items() if key.startswith(_HEAD)}
    origin = stored_origin(state).get("classifier")
    if not head or origin is None:
        raise ValueError(
            f"{path} holds no classifier; expected models/best_model.pth of a run of scripts.finetune_cls. To train "
            "one on these weights pass them as --pretrained_path"
        )
    network = CloudClassifier(load_encoder(path, name).encoder, len(origin["class_names"]))
    network.classifier.load_state_dict(head)
    return network, origin


def read_stored(path: str | Path) -> dict[str, Any]:
    """Read what a weight file says of itself; {} for files of others."""
    return stored_origin(read_weights(path))


def load_for_test(
    path: str | Path, name: str | None, clouds: LabelledClouds, labelled: LabelledSetSettings, report: Report
) -> tuple[CloudClassifier, dict[str, Any]]:
    """Load a network as `load_network` does, check that it fits the clouds, and add its file to what it recorded.

    Args:
        clouds: a split of `labelled`.
        report: called with a warning where the clouds are read otherwise than in training.
    Raises:
        As `load_network`, and ValueError: it was trained on other classes.
    """
    network, origin = load_network(path, name)
    if origin["class_names"] != list(clouds.class_names):
        raise ValueError(
            f"{path} knows the classes {', '.join(origin['class_names'])}; {clouds.shards[0].parent} has "
            f"{', '.join(clouds.class_names)}"
        )
    for flag_name in ("num_points", "normalize"):
        trained, now = origin[flag_name], getattr(labelled, flag_name)
        if trained != now:
            report(f"warning: trained with --{flag_name} {trained}, scored with {now}")
    digest = file_sha256(Path(path))
    report(f"network: {path}, sha256 {digest}")
    return network, origin | {"network": str(path), "network_sha256": digest}
