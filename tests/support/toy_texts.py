"""A text tower without weights, and a small CLIP with random ones."""

import hashlib

import torch

from models.text.text_encoder import TextEncoder

TINY_CLIP = {
    "embed_dim": 12,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


class ToyTexts(TextEncoder):
    """The sum of a fixed random vector of each word: texts that share words are similar."""

    dim = 16

    def describe(self):
        return {"text": "toy", "text_sha256": "0" * 64}

    def embed_batch(self, texts):
        return torch.stack([sum(self._vector(word) for word in text.lower().split()) for text in texts])

    def _vector(self, word):
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:7])
        return torch.randn(self.dim, generator=torch.Generator().manual_seed(seed))
