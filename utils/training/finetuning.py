"""Settings that every fine-tuning has: where it starts, how many labels it sees, how it is trained and tested."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from utils.settings import Settings, flag
from utils.training.loop import LoopSettings


@dataclass(frozen=True)
class StartSettings(Settings):
    """The weights a fine-tuning starts from, or those that --eval tests."""

    pretrained_path: str = flag("", "encoder weights to start from; none: from scratch")
    model_path: str = flag("", "with --eval the fine-tuned network, else --pretrained_path")
    eval: bool = flag(False, "only test: --model_path, else the run's best model", is_free=True)

    @classmethod
    def read(cls, flags: Mapping[str, Any]) -> Self:
        """Read the flags, where --model_path without --eval is another name of --pretrained_path, as in CrossPoint-DDP.

        Raises:
            ValueError: both name weights to start from, or --eval comes with weights to start from.
        """
        start = super().read(flags)
        if start.model_path and not start.eval:
            if start.pretrained_path:
                raise ValueError("--pretrained_path and --model_path both name weights to start from; pass one")
            return replace(start, pretrained_path=start.model_path, model_path="")
        if start.pretrained_path and start.eval:
            raise ValueError(
                "--pretrained_path starts a training; with --eval pass the fine-tuned network as --model_path"
            )
        return start


@dataclass(frozen=True)
class LabelFraction(Settings):
    """How many of the labels a fine-tuning sees."""

    label_fraction: float = flag(
        1.0, "share of each class that is used, at least one cloud, drawn by --seed", above=0, at_most=1
    )


@dataclass(frozen=True)
class FinetuneSettings(LoopSettings):
    """Length, batches, optimiser and network of a fine-tuning."""

    steps: int = flag(0, "length in steps, rounded up to whole epochs, in place of --epochs", at_least=0)
    batch_size: int = flag(help="clouds per step, at least 2 for BatchNorm", at_least=2)
    use_sgd: bool = flag(True, "SGD, else Adam")
    lr: float = flag(0.001, "rate of the first step", above=0)
    momentum: float = flag(0.9, "of SGD", at_least=0, below=1)
    dropout: float = flag(0.5, "in the classifier", at_least=0, below=1)
    k: int = flag(help="neighbours per point in the graphs of dgcnn and dgcnn_seg", at_least=1)
    num_workers: int = flag(2, "loader processes; 0 loads in this one", at_least=0, is_free=True)


@dataclass(frozen=True)
class ScoreSettings(Settings):
    """How a fine-tuned network is scored on the test split."""

    votes: int = flag(
        0,
        "looks at each test cloud: 0 or 1 scores it as it is, N the mean logits of N copies scaled along each axis",
        at_least=0,
        is_free=True,
    )
    test_batch_size: int = flag(16, "clouds per forward pass in evaluation", at_least=1, is_free=True)
    json: str = flag("", "results file (default: results.json of the run; --eval: none)", is_free=True)
