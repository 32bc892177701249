"""The contract between a method and the training loop."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Self

from torch import Tensor, nn

Batch = dict[str, Tensor]
Terms = dict[str, Tensor]


class Method(nn.Module, ABC):
    """What is trained: batches in, named loss terms out. The loop asks a method for nothing but what stands here.

    A pre-training method sets `point_encoder`, points (B, N, 3) -> feature (B, D), which is scored between epochs. One
    that is trained with micro-batches also splits `forward` into `embed(batch)`, named embeddings with a row per
    sample, and `loss(embeddings)`, named terms; see utils/training/gradient_cache.py.
    """

    point_encoder: nn.Module
    # What decides beside flags and data what is learned, such as a digest of a teacher: recorded with the flags, and a
    # run goes on only with the same.
    origin: Mapping[str, str] = {}

    @abstractmethod
    def forward(self, batch: Batch) -> Terms:
        """Return named, already weighted loss terms; their sum is minimised. Names start with "loss/"."""

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """Return what later tasks load, by name: "point" for the point encoder, any name for other networks.

        A pre-training method must return "point", which is kept as best_model.pth and ckpt_epoch_*.pth; another NAME is
        kept as NAME_best.pth and NAME_last.pth.
        """
        return {}

    def after_update(self, step: int) -> None:
        """Follow an optimiser step, by moving an EMA teacher for example.

        Args:
            step: number of optimiser steps so far in the run, from 1.
        """

    def frozen_parts(self) -> Iterable[nn.Module]:
        """Return the parts that stay in eval mode in training, such as a teacher, so that their buffers do not move."""
        return ()

    def train(self, mode: bool = True) -> Self:
        """Set train or eval mode, except for frozen parts, which stay in eval mode."""
        super().train(mode)
        for part in self.frozen_parts():
            part.eval()
        return self
