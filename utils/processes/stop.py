"""Stop signals: training finishes the step it is in, saves its state and ends."""

import signal
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # sent by schedulers before a time limit


class Stopped(Exception):
    """Training ended early, as a signal asked, with its state saved."""


class StopRequest:
    """Remember the first of STOP_SIGNALS that arrives inside the block.

    Later ones change nothing: a scheduler signals every process of a job and torchrun forwards its own, so each
    process gets the signal twice.

    Attributes: `signal_name`, None until a signal arrives.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = self.signal_name or signal.Signals(number).name
