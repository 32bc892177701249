"""Files of the image network that teaches points: written by its pre-training, read strictly."""

from collections import OrderedDict
from pathlib import Path

from models.encoders.multiview_resnet import MultiViewResNet
from models.weights.weight_file import check_tensors, load_exactly, read_kind

_KIND = "multiview_resnet"


def teacher_state(encoder: MultiViewResNet) -> OrderedDict:
    """Return the state dict of a network, with its kind and sizes in the metadata."""
    state = encoder.state_dict()
    sizes = {name: getattr(encoder, name) for name in ("depth", "stem", "embedding_dim", "image_size")}
    state._metadata["crosspoint"] = {"model": _KIND, **sizes}
    return state


def is_teacher(state: dict) -> bool:
    """Return whether a state dict says that it is of such a network."""
    return getattr(state, "_metadata", {}).get("crosspoint", {}).get("model") == _KIND


def load_teacher(path: str | Path) -> MultiViewResNet:
    """Load a network that `scripts.pretrain_images` wrote, in eval mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or of another network.
    """
    wanted = "is no teacher: expected models/teacher_last.pth of python -m scripts.pretrain_images"
    state, stored = read_kind(path, _KIND, wanted)
    encoder = MultiViewResNet(stored["depth"], stored["stem"], embedding_dim=stored["embedding_dim"])
    encoder.image_size = stored.get("image_size")
    try:
        check_tensors(state)
        load_exactly(encoder, state)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not hold the teacher it names: {error}") from error
    return encoder.eval()
