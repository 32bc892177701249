"""Pre-train an image network on several views of every object: the teacher of scripts.pretrain_multiview.

    python -m scripts.pretrain_images --data_root data --exp_name views

Two sets of augmented views of an object agree, other objects differ (NT-Xent). Reads the views of
DATA_ROOT/ShapeNetRendering, or of --packed FILE; writes checkpoints/<exp_name>/: config.json, run.log, metrics.jsonl,
last.pt (resume with --resume) and models/teacher_last.pth.
Source: Tran et al. 2022, arXiv:2210.15904. Published settings are depth 50, 32 x 32 pixels, batches of 512 objects,
1,000 epochs, temperature 0.5; optimiser, views per set and augmentation are not published: the defaults are ours.
"""

import argparse
from dataclasses import dataclass
from typing import NamedTuple

from datasets.pairs.view_sets import ViewSets
from datasets.transforms.view_augment import ViewAugment
from models.distributed import get_world_size
from models.encoders.image_resnet import DEPTHS
from models.encoders.multiview_resnet import STEMS, MultiViewResNet
from models.methods.multiview_images import MultiViewImages
from utils import seed
from utils.cli import run_main
from utils.flags import add_flags, default_data_root, program_parser
from utils.multiview.image_pretrainer import ImagePretrainer
from utils.pretraining.pair_loader import SourceSettings, build_epoch_loader, open_source
from utils.pretraining.pretrainer import PretrainSettings
from utils.processes.launch import ProcessSettings, launch_notes, process_group
from utils.run.folder import RunSettings, open_run
from utils.settings import Settings, flag, read_all, record
from utils.training.bad_samples import BadSampleSettings


@dataclass(frozen=True)
class ImageSettings(Settings):
    """The image network and its loss."""

    image_depth: int = flag(50, "ResNet depth", choices=DEPTHS)
    stem: str = flag("small", "3 x 3, for 32 pixels, as published; standard for larger images", choices=STEMS)
    image_weights: str = flag("none", "to start from: none, imagenet, a torchvision file, or img_model_*.pth of a run")
    views: int = flag(2, "in each of the two sets of an object", at_least=1)
    temperature: float = flag(0.5, "of NT-Xent", above=0)
    least_crop: float = flag(0.2, "least share of a view that its random crop keeps", above=0, at_most=1)
    grey: float = flag(0.2, "share of the views that lose their colours", at_least=0, at_most=1)


class ProgramSettings(NamedTuple):
    """All settings of this program."""

    run: RunSettings
    images: ImageSettings
    training: PretrainSettings
    source: SourceSettings
    bad_samples: BadSampleSettings
    processes: ProcessSettings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the flags, with the published defaults where there are any."""
    parser = program_parser(__doc__)
    add_flags(parser, RunSettings, "run", exp_name="views")
    add_flags(parser, ImageSettings, "method")
    add_flags(parser, PretrainSettings, "training", epochs=1000, save_freq=0)
    add_flags(parser, SourceSettings, "data", data_root=default_data_root(), batch_size=512, image_size=32)
    add_flags(parser, BadSampleSettings, "bad data")
    add_flags(parser, ProcessSettings, "device and processes")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    """Train, or go on with a training."""
    settings = read_all(ProgramSettings, vars(args))
    run, images, training, data, bad_samples, processes = settings
    if training.ema_decay:
        raise ValueError(f"--ema_decay {training.ema_decay:g} averages point encoders, and this program trains none")
    with process_group(processes) as device:
        seed.everything(training.seed)
        source = open_source(data, background=data.behind_views, num_points=2)  # any number: no cloud is read
        augment = ViewAugment(images.least_crop, images.grey)
        views = ViewSets(source, images.views, data.image_size, augment, training.seed)
        place = {"seed": training.seed, "pin_memory": device.type == "cuda"}
        loader = build_epoch_loader(views, data, bad_samples, **place)
        encoder = MultiViewResNet(images.image_depth, images.stem, images.image_weights)
        encoder.image_size = data.image_size
        method = MultiViewImages(encoder, images.temperature).to(device)
        several = f", {get_world_size()} processes" if get_world_size() > 1 else ""
        shapes = f"{len(views)} shapes, {len(loader)} steps an epoch"
        with open_run(run, record(*settings), wandb=training.wandb) as opened:
            network = f"ResNet-{images.image_depth} with {images.stem} stem on {device}{several}"
            for line in [f"{shapes}, {network}", *launch_notes(processes, data.batch_size)]:
                opened.log.line(line)
            options = {"max_bad_rate": bad_samples.max_bad_rate}
            trainer = ImagePretrainer(opened, training, method, loader, device, monitor=None, **options)
            if run.resume:
                trainer.resume()
            trainer.fit()


if __name__ == "__main__":
    run_main(main, parse_args())
