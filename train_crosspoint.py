"""Pre-train a point encoder with CrossPoint: two augmentations agree (IMID), their mean agrees with an image (CMID).

    python train_crosspoint.py --model dgcnn --epochs 100 --lr 0.001 --exp_name crosspoint_dgcnn_cls \
        --batch_size 20 --print_freq 200 --k 15

Reads DATA_ROOT/ShapeNet and DATA_ROOT/ShapeNetRendering; writes checkpoints/<exp_name>/: config.json, run.log,
metrics.jsonl, last.pt (resume with --resume), results.json, and models/ with weights under the published names.
Source: Afham et al. 2022, arXiv:2203.00680.
"""

import argparse
from dataclasses import dataclass

import torch

from models.encoders.image_resnet import DEPTHS, ImageResNet
from models.encoders.registry import build_encoder, check_neighbours
from models.methods.crosspoint import CrossPoint
from utils.cli import run_main
from utils.flags import add_flags, default_data_root, program_parser
from utils.multiview.image_teacher import ImageTeacherSettings, TaughtClouds
from utils.pretraining.pair_loader import LocalSettings
from utils.pretraining.program import FLAG_GROUPS, PretrainingSettings, Report, load_start, open_pairs, pretrain
from utils.settings import flag, read_all
from utils.training.engine import Batches, BatchTransform


@dataclass(frozen=True)
class CrossPointSettings(LocalSettings, ImageTeacherSettings):
    """The terms of the loss, and the image branch or the frozen teacher in its place."""

    imid_weight: float = flag(1.0, "0 leaves the intra-modal term out")
    cmid_weight: float = flag(1.0, "0 leaves the cross-modal term and the images out")
    cmid_views: int = flag(1, "views of a shape in a step; the cross-modal term is the mean over them", at_least=1)
    compose: float = flag(
        0.0, "share of the samples in which one or two other shapes stand beside the shape", at_least=0, at_most=1
    )
    temperature: float = flag(0.1, "of all NT-Xent losses")
    image_depth: int = flag(50, "ResNet depth", choices=DEPTHS)
    image_weights: str = flag("none", "none (as published), imagenet, a torchvision file, or img_model_*.pth of a run")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.has_teacher and self.image_weights != "none":
            raise ValueError("--image_weights start an image branch, which --image_teacher replaces: leave one out")
        if self.has_teacher and self.cmid_views > 1:
            raise ValueError("--cmid_views are of an image branch, a teacher sees all views: leave one out")
        if self.has_teacher and self.compose:
            raise ValueError(
                "--compose shows several shapes in one sample, --image_teacher has seen each alone: leave one out"
            )


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse flags as CrossPoint's users type them, with the published code's defaults, and ours."""
    parser = program_parser(__doc__)
    add_flags(parser, CrossPointSettings, "method")
    own = {"training": {"epochs": 250}, "data": {"data_root": default_data_root()}}
    for title, settings in FLAG_GROUPS.items():
        add_flags(parser, settings, title, **own.get(title, {}))
    return parser.parse_args(argv)


def build_method(
    common: PretrainingSettings, settings: CrossPointSettings, taught: TaughtClouds | None, report: Report
) -> CrossPoint:
    """Build both branches, or the point branch and what the teacher needs; it starts from --model_path if given.

    Raises:
        ValueError: a local cloud has fewer points than a neighbourhood.
    """
    model = common.model
    if settings.local_clouds:
        check_neighbours(model.model, model.k, "local_points", settings.local_points)
    encoder = build_encoder(model.model, model.k, model.emb_dims)
    options = {
        "imid_weight": settings.imid_weight,
        "cmid_weight": settings.cmid_weight,
        "temperature": settings.temperature,
        "local_clouds": settings.local_clouds,
        "local_weight": settings.local_weight,
        "k": model.k,
    }
    if taught:
        method: CrossPoint = taught.build_method(encoder, **options)
    else:
        images = ImageResNet(settings.image_depth, settings.image_weights) if settings.cmid_weight else None
        method = CrossPoint(encoder, images, **options)
    start = load_start(common, report)
    if start is not None:
        method.point_encoder = start.encoder
        method.point_head = start.head or method.point_head
    return method


def open_data(
    common: PretrainingSettings, settings: CrossPointSettings, taught: TaughtClouds | None, device: torch.device
) -> tuple[Batches, BatchTransform | None]:
    """Open the pairs: two clouds of a shape, local ones, and views of it or what a teacher has seen of them."""
    more_clouds = settings.clouds(common.augment.cloud)
    if taught:
        return taught.open(common, device, more_clouds)
    if not settings.cmid_weight:
        common.pairs.refuse_unseen("--cmid_weight 0")
    return open_pairs(
        common,
        device.type == "cuda",
        with_images=settings.cmid_weight > 0,
        views=settings.cmid_views if settings.cmid_weight else 1,
        compose=settings.compose,
        more_clouds=more_clouds,
    )


def main(args: argparse.Namespace) -> None:
    """Train, then score the best model once on the test split; with --eval only score."""
    common, settings = read_all(PretrainingSettings, vars(args)), CrossPointSettings.read(vars(args))
    taught = TaughtClouds(settings) if settings.has_teacher else None
    pretrain(
        common,
        settings,
        lambda report: build_method(common, settings, taught, report),
        open_data=lambda common, device: open_data(common, settings, taught, device),
    )


if __name__ == "__main__":
    run_main(main, parse_args())
