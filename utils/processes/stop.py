"""Being told to stop: a signal is noted, and training ends after the step it is in, with everything saved."""

import signal
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # schedulers send these before a time limit


class Stopped(Exception):
    """Training ended early, as asked, with its state saved."""


class StopRequest:
    """Notes the first of STOP_SIGNALS inside its block; more of them change nothing.

    A scheduler signals every process of a job, and torchrun passes its own signal on, so that each comes twice.

    Attributes: `signal_name`, None while there was none.
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
