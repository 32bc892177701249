"""Worker processes that are killed are reported, not traced back."""

import os

import pytest

from data.parallel import parallel_map


def test_a_killed_worker_is_an_error_with_a_remedy():
    with pytest.raises(OSError, match="a worker process was killed; .* fewer --workers"), parallel_map(2) as run:
        list(run(os._exit, [1, 1], "exit"))
