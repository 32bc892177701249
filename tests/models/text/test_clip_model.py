"""CLIP from local files of three formats, and its images, against open_clip itself."""

import json
import sys
import warnings

import pytest
import torch

from models.encoders.registry import build_encoder
from models.methods.text_alignment import AlignedTowers, load_towers
from models.text.clip_model import ClipImages, ClipText, build_clip, clip_config, load_clip
from models.text.prompts import zero_shot_classifier
from models.text.text_encoder import NEEDED
from tests.support.toy_texts import TINY_CLIP

IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
OF_CLIP = torch.tensor([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]])[..., None, None]


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ValueError, match="needs the package open_clip_torch") as found:
        clip_config("ViT-B-16")
    assert NEEDED in str(found.value)


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("open_clip")


@pytest.fixture
def tiny(library, tmp_path):
    """A model with random weights, its architecture in a file, and its weights in one of OpenCLIP's format."""
    torch.manual_seed(0)
    model = build_clip(TINY_CLIP)
    (tmp_path / "tiny.json").write_text(json.dumps(TINY_CLIP))
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "clip.pt")
    return model


def test_zero_shot_logits_are_those_of_open_clip(library, tiny, tmp_path):
    names, templates = ["mug", "night stand", "airplane"], ["one {}", "the {} in a room."]
    clip = load_clip(tmp_path / "clip.pt", str(tmp_path / "tiny.json"))
    texts = ClipText(clip)
    towers = AlignedTowers(
        build_encoder("pointnet", emb_dims=16),
        ClipImages(clip.config, clip.model.visual),
        texts.dim,
        text=texts.describe(),
        image_size=32,
    ).eval()
    torch.save(towers.weight_state(), tmp_path / "towers.pth")
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        direct = library.build_zero_shot_classifier(tiny, texts.tokenizer, names, templates)
        embedding = tiny.encode_image((images - OF_CLIP[0]) / OF_CLIP[1], normalize=True)
        expected = tiny.logit_scale.exp() * embedding @ direct
        for own in (towers, load_towers(tmp_path / "towers.pth")):
            found = own.logits(
                own.embed_images((images - IMAGENET[0]) / IMAGENET[1]), zero_shot_classifier(texts, names, templates)
            )
            torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    assert (expected[0] - expected[1]).abs().max() > 1e-3  # images differ


def test_files_of_openai_and_ulip_hold_the_same_model(library, tiny, tmp_path):
    architecture = str(tmp_path / "tiny.json")
    state = tiny.state_dict()
    example = torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing
        torch.jit.trace(tiny, example, check_trace=False, strict=False).save(tmp_path / "openai.pt")
    ulip = {f"module.{name}": value for name, value in state.items() if name != "visual.proj"}
    ulip |= {"module.image_projection": state["visual.proj"], "module.point_encoder.x": torch.ones(2)}
    torch.save({"state_dict": ulip | {"module.pc_projection": torch.ones(2, 2)}}, tmp_path / "ulip.pt")
    for name in ("openai.pt", "ulip.pt"):
        loaded = load_clip(tmp_path / name, architecture).model.state_dict()
        assert loaded.keys() == state.keys()
        for key, value in state.items():
            torch.testing.assert_close(loaded[key], value, rtol=0, atol=0)


def test_ulips_own_image_tower_is_timms_on_images_as_they_are(library, tmp_path):
    timm = pytest.importorskip("timm")
    sizes = {"timm_model_name": "vit_tiny_patch16_224", "timm_model_pretrained": False, "timm_pool": "token"}
    config = TINY_CLIP | {"vision_cfg": sizes | {"timm_proj": "linear", "image_size": 224}}
    (tmp_path / "timm.json").write_text(json.dumps(config))
    visual = timm.create_model("vit_tiny_patch16_224", num_classes=0).eval()
    projection = torch.randn(192, 12)
    state = {f"visual.{name}": value for name, value in visual.state_dict().items()}
    state |= {name: value for name, value in build_clip(config).state_dict().items() if not name.startswith("visual.")}
    torch.save({"state_dict": state | {"image_projection": projection, "pc_projection": projection}}, tmp_path / "u.pt")
    clip = load_clip(tmp_path / "u.pt", str(tmp_path / "timm.json"))
    images = torch.randn(2, 3, 224, 224)
    tower = ClipImages(clip.config, clip.model.visual)
    with torch.no_grad():
        torch.testing.assert_close(tower(images), visual(images))
    assert torch.equal(tower.first_projection, projection.T)


def test_other_files_and_architectures_are_refused_by_name(library, tiny, tmp_path):
    architecture = str(tmp_path / "tiny.json")
    with pytest.raises(FileNotFoundError, match="no CLIP weights at .*none.pt"):
        load_clip(tmp_path / "none.pt", architecture)
    with pytest.raises(ValueError, match="--clip_model ViT-B-61 is no architecture: expected one of ulip, ViT-B-16"):
        load_clip(tmp_path / "clip.pt", "ViT-B-61")
    with pytest.raises(ValueError, match="its own, which is not read here|not CLIP's own"):
        clip_config("roberta-ViT-B-32")
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt does not hold weights of --clip_model .*tiny\.json"):
        load_clip(tmp_path / "other.pt", architecture)
