"""The training run of a semantic segmentation: published optimisers and schedules; the last network is kept."""

from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from datasets.scenes.room_blocks import TrainingBlocks
from datasets.scenes.scene import Scene
from datasets.scenes.training_rooms import ROOM_AUGMENT, TrainingRooms, collate_rooms
from datasets.transforms.colour_augment import ColourAugment
from models.methods.semantic_segmentation import BlockSegmentation, RoomSegmentation
from utils.run.names import BEST_MODEL
from utils.semseg.semseg_settings import DAMPENING, POLY_POWER, SemsegSettings
from utils.semseg.semseg_weights import network_state, start_block_network, start_network
from utils.training.epoch_loader import EpochLoader
from utils.training.loop import Training
from utils.training.optim import build_optimizer, published_finetune_schedule, set_norm_momentum

LABEL_SMOOTHING = {"dgcnn": 0.2, "pointnet": 0.0}  # published, as is PointNet's momentum of BatchNorm
FIRST_NORM_MOMENTUM = 0.5
TRAINED = {
    "none": "the whole network",
    "linear": "its last layer alone",
    "linear_bn": "its last layer alone, on standardised features",
    "decoder": "its decoder alone",
}


def poly_schedule(optimizer: torch.optim.Optimizer, num_steps: int) -> LambdaLR:
    """Let step t of T run at lr * (1 - t / (T + 1)) ** 0.9, t = 0 .. T - 1: PolyLR of PointContrast's code."""
    return LambdaLR(optimizer, lambda step: max(1 - step / (num_steps + 1), 0) ** POLY_POWER)


class RoomTraining(Training):
    """One training on rooms. No room that is tested on plays a part in it, and none chooses the epoch.

    Args, beside those of Training:
        origin: stored with the weights (JSON values).
    """

    settings: SemsegSettings
    method: RoomSegmentation | BlockSegmentation

    def __init__(self, *of_training: Any, origin: dict[str, Any]):
        super().__init__(*of_training)
        self.origin = origin

    def build_optimizer(self) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """Build SGD with dampening over what is trained, and its schedule."""
        settings = self.settings
        optimizer = torch.optim.SGD(
            [parameter for parameter in self.method.parameters() if parameter.requires_grad],
            lr=settings.lr,
            momentum=settings.momentum,
            dampening=DAMPENING if settings.momentum else 0,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        return optimizer, poly_schedule(optimizer, settings.epochs * len(self.loader))

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Write the network after the last epoch."""
        if epoch + 1 == self.settings.epochs:
            self.save_weights(network_state(self.method.trained_network(), self.origin), BEST_MODEL.rpartition("/")[2])
        return {}


class BlockTraining(RoomTraining):
    """One training on blocks of rooms: of dgcnn SGD and a cosine, of pointnet Adam whose rate halves in steps."""

    def build_optimizer(self) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """Build optimiser and schedule as published: to 0.001 of the rate, or by half every 20 epochs to 1e-5."""
        settings, is_sgd = self.settings, self.settings.momentum is not None
        optimizer = build_optimizer(
            self.method.parameters(),
            lr=settings.lr,
            use_sgd=is_sgd,
            momentum=settings.momentum or 0.0,
            weight_decay=settings.weight_decay,
        )
        name = "cos" if is_sgd else "step"
        return optimizer, published_finetune_schedule(optimizer, name, epochs=settings.epochs, steps=len(self.loader))

    def before_epoch(self, epoch: int) -> None:
        """Set BatchNorm's momentum: of pointnet 0.5, halved every 20 epochs, at least 0.01."""
        if self.settings.model == "pointnet":
            set_norm_momentum(self.method, epoch, FIRST_NORM_MOMENTUM)


def build_voxel_training(
    rooms: list[Scene], folder: Path, num_classes: int, path: str, training: SemsegSettings
) -> tuple[RoomSegmentation, TrainingRooms, str]:
    """Build method and draws of a training by voxels, and say where it starts.

    Args:
        rooms: to train on, read from `folder`.
        path: weights to start from, "" for none.
    Raises:
        FileNotFoundError, ValueError: as `start_network`.
    """
    network = start_network(path, num_classes, training)
    method = RoomSegmentation(network, training.voxel, training.probe)
    draws = TrainingRooms(
        rooms,
        folder,
        seed=training.seed,
        length=training.epoch_draws(len(rooms)),
        colours=ColourAugment(training.colour_shift, training.colour_jitter) if training.augment else None,
        augment=ROOM_AUGMENT if training.augment else None,
        crop=training.crop,
    )
    return method, draws, path or "from scratch"


def build_block_training(
    rooms: list[Scene], folder: Path, num_classes: int, path: str, training: SemsegSettings
) -> tuple[BlockSegmentation, TrainingBlocks, str]:
    """Build method and draws of a training by blocks, as `build_voxel_training` does.

    Raises:
        FileNotFoundError, ValueError: as `start_block_network` and `TrainingBlocks`.
    """
    started = start_block_network(path, num_classes, training)
    draws = TrainingBlocks(rooms, folder, seed=training.seed, form=training.block_form)
    draws.length = training.epoch_draws(len(draws.places))
    return BlockSegmentation(started.network, LABEL_SMOOTHING[training.model]), draws, started.report


def build_loader(draws: TrainingRooms | TrainingBlocks, training: SemsegSettings, device: torch.device) -> EpochLoader:
    """Build the loader of this process's share of every batch."""
    return EpochLoader.of_rank(
        draws, training, device, collate=collate_rooms if isinstance(draws, TrainingRooms) else None
    )
