import os
import signal

import pytest

from utils.processes.stop import StopRequest


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_signals_are_noted_until_the_end_where_handlers_are_put_back_with_or_without_one(name):
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with StopRequest():
        pass
    assert signal.getsignal(number) == before
    with StopRequest() as request:
        assert request.signal_name is None
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)  # as a launcher passes it on once more
        assert request.signal_name == name
    assert signal.getsignal(number) == before
