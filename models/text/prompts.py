"""Prompts around class names, and the classifier that their embeddings make.

Source: the ensemble of prompts of CLIP (Radford et al. 2021, arXiv:2103.00020) and ULIP (arXiv:2212.05171).
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from models.text.text_encoder import TextEncoder

OWN_TEMPLATES = Path(__file__).with_name("prompts.json")  # 64, of our own wording
PUBLISHED_SET = "modelnet40_64"  # of ULIP's templates.json: the list that its and CrossMoST's programs take


def read_templates(path: str | Path = OWN_TEMPLATES, name: str = PUBLISHED_SET) -> list[str]:
    """Read prompts with one {} each, for the name of a class.

    Args:
        path: a JSON file with a list of prompts, or, as ULIP's templates.json, lists by name.
        name: of the list, where there are several.
    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds no such list, or a prompt is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no prompts at {path}: expected a JSON list such as {OWN_TEMPLATES}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON text in UTF-8 ({error}); take another copy of it") from error
    if isinstance(found, dict):
        if name not in found:
            raise ValueError(f"{path} has no list {name!r}; choose one of its {', '.join(map(str, found))}")
        found = found[name]
    if not isinstance(found, list) or not found:
        raise ValueError(f"{path}: expected a list of prompts, found {type(found).__name__} {str(found)[:40]}")
    for prompt in found:
        if not isinstance(prompt, str) or prompt.count("{}") != 1 or "{" in prompt.replace("{}", ""):
            raise ValueError(f"{path}: {prompt!r} is no prompt: expected text with one {{}} for the name of a class")
    return found


def readable_name(name: str) -> str:
    """Return a class name as words: `night_stand` becomes `night stand`."""
    return " ".join(name.replace("_", " ").split())


def zero_shot_classifier(encoder: TextEncoder, names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Make the classifier of some classes: the mean of the embeddings of each one's prompts, of unit length again.

    Args:
        names: of the classes, each once; underscores are read as blanks.
        templates: prompts with one {}.
    Returns:
        (D, Y) float32, columns of unit length; the means are computed in float64.
    Raises:
        ValueError: no class, a blank one, or one that is there twice.
    """
    words = [readable_name(name) for name in names]
    if not words or not all(words) or len(set(words)) < len(words):
        raise ValueError(f"class names must differ and not be blank, got {', '.join(map(repr, names)) or 'none'}")
    rows = encoder.encode([template.replace("{}", word) for word in words for template in templates])
    means = rows.double().unflatten(0, (len(words), len(templates))).mean(dim=1)
    return F.normalize(means, dim=1).float().T.contiguous()
