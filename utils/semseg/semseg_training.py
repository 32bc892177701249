"""The training run of a semantic segmentation: published optimiser and schedule; the last network is kept."""

from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from models.methods.semantic_segmentation import RoomSegmentation
from utils.run.names import BEST_MODEL
from utils.semseg.semseg_settings import DAMPENING, POLY_POWER, SemsegSettings
from utils.semseg.semseg_weights import network_state
from utils.training.loop import Training


def poly_schedule(optimizer: torch.optim.Optimizer, num_steps: int) -> LambdaLR:
    """Let step t of T run at lr * (1 - t / (T + 1)) ** 0.9, t = 0 .. T - 1: PolyLR of PointContrast's code."""
    return LambdaLR(optimizer, lambda step: max(1 - step / (num_steps + 1), 0) ** POLY_POWER)


class RoomTraining(Training):
    """One training on rooms. No room that is tested on plays a part in it, and none chooses the epoch.

    Args, beside those of Training:
        origin: stored with the weights (JSON values).
    """

    settings: SemsegSettings
    method: RoomSegmentation

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
