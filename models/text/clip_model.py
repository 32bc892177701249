"""CLIP's text and image towers by open_clip, from a local file: nothing is downloaded.

Source: Radford et al. 2021, arXiv:2103.00020; https://github.com/mlfoundations/open_clip.
"""

import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.text.text_encoder import NEEDED, TextEncoder
from models.weights.torchscript_file import is_torchscript, read_torchscript
from models.weights.weight_file import check_kind, check_tensors, read_weights, unwrap

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # what images here are standardised by
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_CONSTANTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")  # beside the weights in OpenAI's files
ULIP = "ulip"  # an architecture: SLIP's ViT-B/16 of timm, which ULIP's files hold
_ULIP_CONFIG = {
    "embed_dim": 512,
    "quick_gelu": True,
    "vision_cfg": {
        "timm_model_name": "vit_base_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": "linear",
        "image_size": 224,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
}


class ClipFile(NamedTuple):
    """A loaded model, the open_clip config it was built from, and the SHA-256 of its file."""

    model: nn.Module
    config: dict[str, Any]
    sha256: str


def open_clip() -> ModuleType:
    """Import open_clip.

    Raises:
        ValueError: it is not installed; says what to run.
    """
    try:
        import open_clip
    except ImportError as error:
        raise ValueError(f"the text tower clip needs the package open_clip_torch ({error}): {NEEDED}") from error
    return open_clip


def clip_config(architecture: str) -> dict[str, Any]:
    """Return the config of an architecture: a name that open_clip knows, "ulip", or a JSON file in open_clip's form.

    Raises:
        ValueError: unknown, or with a text tower that is not CLIP's own.
    """
    library = open_clip()
    if architecture == ULIP:
        return _ULIP_CONFIG
    if architecture.endswith(".json"):
        try:
            config = json.loads(Path(architecture).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{architecture} is no readable JSON file of an architecture ({error})") from error
    else:
        config = library.get_model_config(architecture)
    if not isinstance(config, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise ValueError(
            f"--clip_model {architecture} is no architecture: expected one of {ULIP}, "
            f"{', '.join(name for name in library.list_models() if name.startswith('ViT-B'))} or others of "
            "open_clip.list_models(), or a JSON file with embed_dim, vision_cfg and text_cfg"
        )
    if config.get("custom_text") or "hf_model_name" in config["text_cfg"] or "multimodal_cfg" in config:
        raise ValueError(f"--clip_model {architecture} has a text tower that is not CLIP's own, which is not read here")
    return config


def build_clip(config: dict[str, Any]) -> nn.Module:
    """Build a model with random weights."""
    sizes = {key: config[key] for key in ("embed_dim", "vision_cfg", "text_cfg")}
    return open_clip().CLIP(**sizes, quick_gelu=config.get("quick_gelu", False)).eval()


def load_clip(path: str | Path, architecture: str) -> ClipFile:
    """Load CLIP from a file of OpenAI, of OpenCLIP or of ULIP, strictly.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, or of another architecture.
    """
    config = clip_config(architecture)
    state, is_openai = _read_state(Path(path))
    if is_openai:
        config = config | {"quick_gelu": True}  # its activation; open_clip's names without -quickgelu have another
    model = build_clip(config)
    try:
        state = as_open_clip(state)
        check_tensors(state)
        model.load_state_dict({name: value.float() for name, value in state.items()})
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"{path} does not hold weights of --clip_model {architecture}: {str(error)[:400]}; name the architecture "
            "that was trained"
        ) from error
    with Path(path).open("rb") as file:
        return ClipFile(model, config, hashlib.file_digest(file, "sha256").hexdigest())


def _read_state(path: Path) -> tuple[dict[str, Tensor], bool]:
    """Return the tensors of a file, and whether it is one of OpenAI's, a TorchScript archive."""
    if not path.is_file():
        raise FileNotFoundError(f"no CLIP weights at {path}; nothing is downloaded: fetch the file, then name it")
    check_kind(path)
    return (read_torchscript(path), True) if is_torchscript(path) else (unwrap(read_weights(path)), False)


def as_open_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a file to those of open_clip's model; point towers of ULIP's files are left out."""
    state = {name: value for name, value in state.items() if name not in _CONSTANTS}
    if "image_projection" not in state:
        return state
    own = {k: v for k, v in state.items() if not k.startswith(("point_encoder.", "pc_projection", "image_projection"))}
    if "visual.conv1.weight" in own:
        return own | {"visual.proj": state["image_projection"]}
    trunk = {name.replace("visual.", "visual.trunk.", 1): value for name, value in own.items()}
    return trunk | {"visual.head.proj.weight": state["image_projection"].T}


class ClipText(TextEncoder):
    """CLIP's text tower, with its tokenizer.

    Args:
        clip: of `load_clip`.
    """

    def __init__(self, clip: ClipFile):
        self.model = clip.model
        sizes = clip.config["text_cfg"]
        self.dim = clip.config["embed_dim"]
        self.tokenizer = open_clip().SimpleTokenizer(context_length=sizes.get("context_length", 77))
        self._digest = clip.sha256

    def describe(self) -> dict[str, str]:
        return {"text": "clip", "text_sha256": self._digest}

    def embed_batch(self, texts: list[str]) -> Tensor:
        return self.model.encode_text(self.tokenizer(texts))


class ClipImages(nn.Module):
    """CLIP's image tower without its projection, which becomes that of `AlignedTowers`.

    Shape: images (B, 3, S, S), ImageNet-normalised as all images here -> feature (B, feature_dim).

    Args:
        config: of open_clip; says the sizes, and for ULIP's tower that images stay ImageNet-normalised.
        visual: the tower; None builds a random one.
    Attributes:
        first_projection: (D, feature_dim), CLIP's own; not a parameter.
    """

    def __init__(self, config: dict[str, Any], visual: nn.Module | None = None):
        super().__init__()
        self.config = config
        self.visual = build_clip(config).visual if visual is None else visual
        is_timm = "timm_model_name" in config["vision_cfg"]
        self.image_size = config["vision_cfg"]["image_size"]
        if is_timm:
            self.first_projection = self.visual.head.proj.weight.detach().clone()
            self.visual.head = nn.Identity()
        elif getattr(self.visual, "proj", None) is None:
            raise ValueError("this CLIP has no vision transformer with a projection of its own, which is expected here")
        else:
            self.first_projection = self.visual.proj.detach().T.clone()
            self.visual.proj = None
        self.feature_dim = self.first_projection.shape[1]
        mean, std = map(torch.tensor, _IMAGENET)
        new_mean, new_std = map(torch.tensor, _IMAGENET if is_timm else _CLIP)
        self.register_buffer("factor", (std / new_std)[:, None, None], persistent=False)
        self.register_buffer("shift", ((mean - new_mean) / new_std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.visual(images * self.factor + self.shift)
