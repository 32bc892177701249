"""Trainings that are interrupted, as by Ctrl-C, to be resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from utils.engine import train_one_epoch


@contextmanager
def interrupted_in(stop: int) -> Iterator[None]:
    """The training in this block must be interrupted at the start of epoch `stop`."""

    def interrupted(stepper, loader, progress, **options):
        if progress.epoch == stop:
            raise KeyboardInterrupt
        return train_one_epoch(stepper, loader, progress, **options)

    with patch("utils.training.train_one_epoch", interrupted), pytest.raises(KeyboardInterrupt):
        yield
