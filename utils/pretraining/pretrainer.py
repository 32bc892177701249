"""Pre-training on top of the training loop: held-out scores, the best model, copies of the encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LambdaLR, LRScheduler

from models.encoders.registry import encoder_name
from models.weights.published import export_state, stored_origin
from utils.pretraining.monitor import Monitor
from utils.pretraining.moving_average import MovingAverage
from utils.processes.stop import StopRequest
from utils.run.log import WANDB_MODES
from utils.run.names import EMA_WEIGHTS, LAST_WEIGHTS
from utils.settings import flag
from utils.training.engine import AMP_DTYPES, StepResult
from utils.training.loop import LoopSettings, Training
from utils.training.optim import WEIGHT_DECAY, build_optimizer, cosine_schedule, step_schedule

LEAST_LR = 1e-5  # of the schedule in steps
EXP_FACTOR, EXP_STEPS = 0.99, 1000  # of the exponential schedule
_AVERAGE = "ema"  # its name in a state


def _stepped(optimizer: Optimizer, epochs: int, steps: int) -> LRScheduler:
    lr = optimizer.defaults["lr"]
    return step_schedule(optimizer, steps, LEAST_LR / max(lr, LEAST_LR))


SCHEDULES = {
    "cos": lambda optimizer, epochs, steps: cosine_schedule(optimizer, epochs * steps),
    "step": _stepped,
    "exp": lambda optimizer, epochs, steps: LambdaLR(optimizer, lambda step: EXP_FACTOR ** (step // EXP_STEPS)),
    "none": lambda optimizer, epochs, steps: ConstantLR(optimizer, 1.0),
}


@dataclass(frozen=True)
class PretrainSettings(LoopSettings):
    """Optimisation, copies and reports of a pre-training."""

    micro_batch: int = flag(
        0, "shapes in memory at once while all of --batch_size are contrasted; BatchNorm sees these; 0: all", at_least=0
    )
    lr: float = flag(0.001, "initial rate")
    scheduler: str = flag(
        "cos",
        "cosine to 0 over all steps; step: times 0.7 every 20 epochs, not below 1e-5; exp: times 0.99 every 1,000 "
        "steps; none: constant",
        choices=tuple(SCHEDULES),
    )
    use_sgd: bool = flag(False, "SGD instead of Adam")
    momentum: float = flag(0.9, "of SGD")
    weight_decay: float = flag(WEIGHT_DECAY, "of the optimiser", at_least=0)
    amp: str = flag("none", "autocast; kNN, losses stay float32", choices=tuple(AMP_DTYPES))
    ema_decay: float = flag(
        0.0,
        "also keep a moving average of the encoder's weights, of this decay, as ema_last.pth; 0: none",
        at_least=0,
        below=1,
    )
    save_freq: int = flag(50, "epochs between kept copies of the encoder", at_least=0, is_free=True)
    wandb: str = flag("off", "Weights & Biases", choices=WANDB_MODES, is_free=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.micro_batch == 1:
            raise ValueError(f"--micro_batch must be 0 or at least 2, got {self.micro_batch}")


class Pretrainer(Training):
    """One run of a pre-training method over a data set.

    Args, beside those of Training:
        method: also has `point_encoder`, and `weights()` with an entry "point".
        monitor: scores the encoder on data held out of train; None for no scores: then the last model is the best.
    """

    settings: PretrainSettings

    def __init__(self, *of_training: Any, monitor: Monitor | None, **options: Any):
        super().__init__(*of_training, **options)
        self.monitor = monitor
        decay = self.settings.ema_decay
        self.average = MovingAverage(self.method.point_encoder, decay) if decay else None

    def build_optimizer(self) -> tuple[Optimizer, LRScheduler]:
        """Build Adam or SGD, with the schedule of --scheduler."""
        settings = self.settings
        optimizer = build_optimizer(
            self.method.parameters(),
            lr=settings.lr,
            use_sgd=settings.use_sgd,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        return optimizer, SCHEDULES[settings.scheduler](optimizer, settings.epochs, len(self.loader))

    def collect_state(self, rng: list[dict]) -> dict[str, Any]:
        """Add the moving average, where there is one."""
        average = {} if self.average is None else {_AVERAGE: self.average.encoder.state_dict()}
        return super().collect_state(rng) | average

    def restore(self, state: dict[str, Any], path: Path) -> None:
        """Continue with the state's moving average too where --ema_decay asks for one.

        Raises:
            ValueError: the state has none, or is of another network.
        """
        super().restore(state, path)
        if self.average is None:
            return
        if _AVERAGE not in state:
            raise ValueError(f"{path} holds no moving average of weights: go on without --ema_decay, or start anew")
        self.average.encoder.load_state_dict(state[_AVERAGE])  # it fits: the encoder of the same state did

    def _after_step(self, result: StepResult, faults: list[str], request: StopRequest) -> None:
        """Move the average before the loop may save a state of this step."""
        if self.average is not None and not result.is_skipped:
            self.average.update(self.method.point_encoder, self.stepper.num_updates)
        super()._after_step(result, faults, request)

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Score held-out data when that is due; keep the best model, the average, and copies when they are due."""
        scores = self._monitor(epoch)
        if self.average is not None:
            encoder, last = self.average.encoder, stored_origin(self.method.weights()["point"])
            self.save_weights(export_state(encoder, encoder_name(encoder), k=last.get("k")), EMA_WEIGHTS)
        if self.settings.save_freq and epoch % self.settings.save_freq == 0:
            self.save_weights(self.method.weights()["point"], f"ckpt_epoch_{epoch}.pth")
        if epoch + 1 == self.settings.epochs:
            self._keep(LAST_WEIGHTS, "last")
        return scores

    def _monitor(self, epoch: int) -> dict[str, float]:
        if self.monitor is None:
            self._keep("best_model.pth", "best")
            return {}
        if (epoch + 1) % self.monitor.freq and epoch + 1 < self.settings.epochs:
            return {}
        scores = self.monitor(self.method.point_encoder)
        score = next(iter(scores.values()))
        if self.average is not None:
            scores |= {f"{name}_ema": value for name, value in self.monitor(self.average.encoder).items()}
        is_best = score > self.best
        text = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self.log.line(f"epoch {epoch} held-out val  {text}{'  best so far' if is_best else ''}")
        if is_best:
            self.best = score
            self._keep("best_model.pth", "best")
        return scores

    def _keep(self, point_name: str, suffix: str) -> None:
        """Write all weights of the method: the point encoder's as `point_name`, those of NAME as NAME_suffix.pth."""
        for name, weights in self.method.weights().items():
            self.save_weights(weights, point_name if name == "point" else f"{name}_{suffix}.pth")
