"""Steps that float16 skips: counted, told, without effect on schedule and teacher; a run of nothing else is refused."""

import math
from unittest.mock import patch

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

from models.methods.method import Method
from tests.support.interruption import stopped_after
from tests.support.light_runs import log_of, metrics
from tests.support.pretraining_runs import train, write_pairs
from utils.training.engine import Precision, Progress, Stepper, train_one_epoch

CPU = torch.device("cpu")


class Overflowing(Method):
    """A linear loss whose gradient overflows in the steps named; it notes what follows an update."""

    def __init__(self, steps):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3))
        self.steps, self.step, self.updates = steps, -1, []

    def forward(self, batch):
        self.step += 1
        factor = math.inf if self.step in self.steps else 1.0
        weight = self.weight * 1
        weight.register_hook(lambda grad: grad * factor)
        return {"loss/linear": (weight * batch["points"]).sum()}

    def after_update(self, step):
        self.updates.append(step)


class Loader:
    batch_size = 2

    def __init__(self, num_steps):
        self.num_steps = num_steps

    def __len__(self):
        return self.num_steps

    def epoch(self, epoch, start=0):
        return [{"points": torch.ones(2, 3), "index": torch.arange(2)}] * (self.num_steps - start)


def train_four_steps(overflows, *, scale=2.0**16):
    """Return the method, the stepper, the progress and the lines after four steps."""
    method = Overflowing(overflows)
    optimizer = torch.optim.SGD(method.parameters(), lr=1.0)
    schedule = LambdaLR(optimizer, lambda step: 0.5**step)
    precision = Precision(torch.float16, torch.amp.GradScaler("cpu", init_scale=scale))
    stepper = Stepper(method, optimizer, schedule, device=CPU, precision=precision)
    progress, lines = Progress(), []
    means = train_one_epoch(stepper, Loader(4), progress, report=lines.append, print_freq=2)
    return method, stepper, means, lines


def test_skipped_steps_are_counted_and_told_and_move_neither_schedule_nor_teacher():
    method, stepper, means, lines = train_four_steps({0, 2})
    assert means["skipped_steps"] == 2
    assert [line.count("step 2/4  skipped 1 ") + line.count("step 4/4  skipped 2 ") for line in lines] == [1, 1]
    assert stepper.num_updates == 2
    assert stepper.schedule.get_last_lr() == [0.25]
    assert method.updates == [1, 2]
    assert method.weight.tolist() == [-3.0] * 3  # two clouds, rates 1 and 0.5


def test_a_scale_that_has_vanished_is_no_step_taken():
    _, stepper, means, _ = train_four_steps({0, 1, 2, 3}, scale=2.0**-148)
    assert (means["skipped_steps"], stepper.num_updates) == (4, 0)


def test_without_skips_nothing_is_said_of_them():
    _, _, means, lines = train_four_steps(())
    assert "skipped" not in "".join(lines)
    assert "skipped_steps" not in means


@pytest.mark.usefixtures("light_training")
def test_a_run_in_which_every_step_was_skipped_is_an_error_and_keeps_no_last_model(tmp_path):
    root = write_pairs(tmp_path / "data")
    overflow = Precision(torch.float16, torch.amp.GradScaler("cpu", init_scale=1e38))
    with patch.object(Precision, "from_name", lambda *args: overflow):
        with stopped_after(1):
            train(root, tmp_path, "--amp", "fp16")
        with pytest.raises(ValueError, match="no weight of .*tiny has moved: float16 skipped each of its 4 steps"):
            train(root, tmp_path, "--amp", "fp16", "--resume")
    run_dir = tmp_path / "tiny"
    assert metrics(run_dir, "skipped_steps") == [2]  # of epoch 0
    assert "epoch 1 step 2/2  skipped 2 (float16 overflow)" in log_of(run_dir)
    assert not (run_dir / "models" / "ckpt_epoch_last.pth").exists()
