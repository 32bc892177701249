"""Weights under CrossPoint's published names: its checkpoints read strictly, ours written the same way.

A published file is a plain state dict of encoder and projection head (`inv_head`). It holds every BatchNorm that
follows a convolution twice, as `conv1.1.*` and as `bn1.*`; the first is kept after checking that the second is equal.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.encoders.registry import EMB_DIMS, ENCODERS, MAX_EMB_DIMS, build_encoder, published_width
from models.layers.heads import point_head
from models.weights.room_networks import room_network
from models.weights.tower_names import LABELLED_HEADS, same_weights, split_tower
from models.weights.weight_file import check_tensors, load_exactly, read_weights, unwrap

# Second names of BatchNorms in the published networks. The part-seg T-Net reassigned its `bn3`, so that name is the
# 512-d BatchNorm after `linear1` and not an alias of the one inside `conv3`.
_ALIASES = {
    "dgcnn": {f"bn{i}": f"conv{i}.1" for i in range(1, 6)},
    "dgcnn_seg": {f"bn{i}": f"conv{i}.1" for i in range(1, 11)}
    | {"transform_net.bn1": "transform_net.conv1.1", "transform_net.bn2": "transform_net.conv2.1"},
}
# The layer that makes the embedding: its weight has as many rows as the embedding is wide.
_EMBEDDING = {
    "dgcnn": "conv5.0.weight",
    "dgcnn_seg": "conv6.0.weight",
    "pointnet": "conv5.0.weight",
    "pointnet_tnet": "mlp2.6.weight",
    "pointnet2": "sa3.mlp_convs.2.weight",
    "pointmlp": "pos_blocks_list.3.operation.1.net2.1.weight",
    "pointnext": "encoder.5.0.convs.1.0.weight",
    "pointbert": "norm.weight",
    "pointbert_512": "norm.weight",
}
# A pre-trained part-seg encoder stores the BatchNorms of a segmentation classifier that it does not have.
_CLASSIFIER = tuple(f"{kind}{i}." for kind in ("bn", "conv") for i in range(7, 12))
_CLASSIFIER_NORMS = {"bn7": 64, "bn8": 256, "bn9": 256, "bn10": 128}
_HEAD = "inv_head."
_LOCAL_AND_GLOBAL = ("point_project.", "global_project.")  # heads of selfsup_pcd's files, which nothing here needs
_TASK_HEADS = ("classifier.", "part_head.")  # ours; the published code has a part head on its dgcnn_seg only


class LoadReport(NamedTuple):
    """Account of every tensor of a published file; `str(report)` is one readable line."""

    loaded: list[str]  # tensors copied into the encoder
    head: list[str]  # tensors of the projection heads
    aliases: list[str]  # second names of loaded tensors, checked equal
    unused: list[str]  # tensors of a classifier or another network, which an encoder does not have
    num_expected: int  # tensors that the encoder has

    @property
    def saw_labels(self) -> bool:
        """Whether the file is fine-tuned; a pre-trained part-seg encoder has only the norms of a classifier."""
        return any(key.startswith((*_TASK_HEADS, *LABELLED_HEADS, "conv")) for key in self.unused)

    def __str__(self) -> str:
        return (
            f"{len(self.loaded)} of {self.num_expected} encoder tensors loaded, "
            f"{len(self.head)} of the projection head, {len(self.aliases)} aliases equal, "
            f"{len(self.unused)} others not used"
            f"{', trained with labels' if self.saw_labels else ''}"
        )


class PretrainedEncoder(NamedTuple):
    """A loaded encoder, its head (None if the file has none), name, stored k (None if unknown) and report.

    `stored` is what the file says of itself; {} for files of others.
    """

    encoder: nn.Module
    head: nn.Module | None
    name: str
    stored_k: int | None
    report: LoadReport
    stored: dict[str, Any]


def detect_encoder(state: dict[str, Tensor]) -> str:
    """Return the name of the encoder that a state dict belongs to.

    Raises:
        ValueError: none of `ENCODERS`.
    """
    width = {key: tuple(value.shape) for key, value in state.items() if hasattr(value, "shape")}
    if any(key.startswith("transform_net.") for key in width):
        return "dgcnn_seg"
    if any(key.startswith("stn2.") for key in width):
        return "pointnet_tnet"
    first = width.get("conv1.0.weight")
    names = {(64, 6, 1, 1): "dgcnn", (64, 3, 1): "pointnet"}
    if first not in names:
        found = f"shape {first}" if first else f"none among {', '.join(sorted(width)[:3]) or 'no tensor'} ..."
        raise ValueError(f"no point encoder of ours: expected conv1.0.weight of DGCNN or PointNet, found {found}")
    return names[first]


def embedding_width(state: dict[str, Tensor], name: str) -> int:
    """Return `emb_dims` of the encoder that a state dict belongs to; the published one where a tensor is missing.

    Raises:
        ValueError: out of bounds.
    """
    usual = published_width(name) if name in ENCODERS else EMB_DIMS
    width = next(iter(getattr(state.get(_EMBEDDING.get(name)), "shape", ())), usual)
    if not 1 <= width <= MAX_EMB_DIMS:
        raise ValueError(f"the embedding of these weights is {width} wide, expected 1 to {MAX_EMB_DIMS}")
    return width


def import_state(state: dict[str, Tensor], encoder: nn.Module, name: str, head: nn.Module | None = None) -> LoadReport:
    """Copy published weights into `encoder` (and `head`), accounting for every tensor on both sides.

    Raises:
        ValueError: a tensor is missing, unexpected, of another shape, or an alias differs from its tensor.
    """
    heads = sorted(key for key in state if key.startswith((_HEAD, *_LOCAL_AND_GLOBAL)))
    head_state = {key.removeprefix(_HEAD): state[key] for key in heads if key.startswith(_HEAD)}
    rest = {key: value for key, value in state.items() if key not in heads}
    aliases = _pop_aliases(rest, name)
    classifier = (*_TASK_HEADS, *(_CLASSIFIER if name == "dgcnn_seg" else ()))
    has_classifier = any(key.startswith(classifier) for key in encoder.state_dict())
    unused = [] if has_classifier else [key for key in rest if key.startswith(classifier)]
    own = {key: value for key, value in rest.items() if key not in unused}
    load_strictly(encoder, own, "network")
    if head is not None:
        load_strictly(head, head_state, "projection head")
    return LoadReport(sorted(own), heads, aliases, sorted(unused), len(encoder.state_dict()))


def _pop_aliases(state: dict[str, Tensor], name: str) -> list[str]:
    """Remove second names from `state` after checking that their tensors equal the first."""
    found = []
    for alias, original in _ALIASES.get(name, {}).items():
        for key in [key for key in state if key.startswith(alias + ".")]:
            twin = original + key.removeprefix(alias)
            if twin not in state:
                continue
            if not torch.equal(state[key], state[twin]):
                raise ValueError(f"{key} and {twin} should be one tensor under two names, but their values differ")
            found.append(key)
            del state[key]
    return sorted(found)


def load_strictly(module: nn.Module, state: dict[str, Tensor], what: str) -> None:
    """Load a state dict that has exactly the tensors of a module, which the message calls `what`.

    Raises:
        ValueError: names the tensors that are missing, unexpected or of another shape.
    """
    try:
        load_exactly(module, state)
    except ValueError as error:
        raise ValueError(f"weights do not fit the {what}: {error}; is --model the one that was trained?") from error


def export_state(
    encoder: nn.Module, name: str, head: nn.Module | None = None, *, k: int | None = None, **origin: Any
) -> OrderedDict:
    """Return a state dict under the published names, aliases included, which CrossPoint's own code loads strictly.

    The encoder's name, `k` and `origin` (plain values) are stored in its metadata, which other readers ignore.
    """
    state = encoder.state_dict()
    for alias, original in _ALIASES.get(name, {}).items():
        for key in [key for key in state if key.startswith(original + ".")]:
            state[alias + key.removeprefix(original)] = state[key]
    if name == "dgcnn_seg" and "conv8.0.weight" not in state:
        for norm, width in _CLASSIFIER_NORMS.items():
            state.update({f"{norm}.{key}": value for key, value in nn.BatchNorm1d(width).state_dict().items()})
    if head is not None:
        state.update({_HEAD + key: value for key, value in head.state_dict().items()})
    state._metadata["crosspoint"] = {"model": name, "k": k, **origin}
    return state


def stored_origin(state: dict) -> dict:
    """Return the metadata that `export_state` stored (model, k and more); empty for other files."""
    return getattr(state, "_metadata", {}).get("crosspoint", {})


def load_encoder(
    path: str | Path, name: str | None = None, k: int | None = None, emb_dims: int | None = None
) -> PretrainedEncoder:
    """Load an encoder from a published weight file, ours (`models/best_model.pth`) or its authors'.

    Args:
        path: a plain state dict, of torch.save or safetensors, or a resumable state of ours (`last.pt`).
        name: the expected encoder; None accepts whichever the file holds.
        k: neighbours per point; None takes the stored value, or 15 where the file has none.
        emb_dims: the expected width of the embedding; None accepts the file's.
    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, or one of another encoder or width.
    """
    state = read_weights(path)
    stored = stored_origin(state)
    try:
        if "method" in state:
            state, stored = _from_training_state(state)
        state = unwrap(state)
        check_tensors(state)
        if other := room_network(state, stored):
            raise ValueError(f"expected a point encoder, found {other}")
        tower = split_tower(state)
        found, state, others = tower or (detect_encoder(state), state, [])
        wanted = name or stored.get("model")
        if same_weights(found, wanted):
            found = wanted
        if name is not None and name != found:
            raise ValueError(f"these are weights of {found}, not of --model {name}")
        width = embedding_width(state, found)
        if emb_dims not in (None, width):
            raise ValueError(
                f"the embedding of these weights is {width} wide, got --emb_dims {emb_dims}; pass --emb_dims {width}"
            )
        encoder = build_encoder(found, k if k is not None else stored.get("k") or 15, width)
        has_head = any(key.startswith(_HEAD) for key in state)
        head = point_head(encoder.feature_dim) if has_head else None
        report = import_state(state, encoder, found, head)
        report = report._replace(unused=sorted([*report.unused, *others]))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return PretrainedEncoder(encoder, head, found, stored.get("k"), report, stored)


def _from_training_state(state: dict) -> tuple[dict[str, Tensor], dict]:
    """Return a method's encoder under published names, CrossPoint's with its head, and its name, k and settings."""
    method, config = state["method"], state.get("config")
    if not isinstance(method, dict) or not isinstance(config, dict) or not {"model", "k"} <= config.keys():
        raise ValueError("no training state of ours: its method or config is missing")
    check_tensors(method)
    encoder = {k.removeprefix("point_encoder."): v for k, v in method.items() if k.startswith("point_encoder.")}
    is_crosspoint = "cmid_weight" in config  # the heads of other methods have other shapes
    head = {
        _HEAD + k[len("point_head.") :]: v for k, v in method.items() if is_crosspoint and k.startswith("point_head.")
    }
    return encoder | head, {"model": config["model"], "k": config["k"], "run": {"settings": config}}
