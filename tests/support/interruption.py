"""Interrupt trainings, as Ctrl-C or a scheduler does."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from utils.processes.stop import Stopped
from utils.training.engine import Stepper, train_one_epoch


@contextmanager
def interrupted_in(stop: int) -> Iterator[None]:
    """Interrupt the training in this block at the start of epoch `stop`."""

    def interrupted(stepper, loader, progress, **options):
        if progress.epoch == stop:
            raise KeyboardInterrupt
        return train_one_epoch(stepper, loader, progress, **options)

    with patch("utils.training.loop.train_one_epoch", interrupted), pytest.raises(KeyboardInterrupt):
        yield


@contextmanager
def stopped_after(step: int) -> Iterator[None]:
    """Send SIGUSR1 to the training in this block, so that it stops after that step of an epoch, counted from 1."""
    take_step = Stepper.step

    def step_and_signal(self, batch, number, *args, **options):
        if number + 1 == step:
            os.kill(os.getpid(), signal.SIGUSR1)
        return take_step(self, batch, number, *args, **options)

    with patch.object(Stepper, "step", step_and_signal), pytest.raises(Stopped):
        yield
