"""Fixtures shared by all tests."""

from pathlib import Path
from unittest.mock import patch

import pytest

from tests.support import light_runs

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk():
    """Skip fsync: files of tests need not survive a power cut, and flushing takes a good part of the suite's time."""
    with patch("os.fsync", lambda descriptor: None):
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_loader_processes():
    """Wait 1 s, not 5, for each loader process of an epoch that a fault ended, once its iterator is collected."""
    with patch("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 1.0):
        yield


@pytest.fixture(scope="module")
def light_training():
    """Trainings of the module use small image networks and draw no curves."""
    with light_runs.light():
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference material beside the checkout; skip where it is absent."""
    folder = REPO.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"reference material not found at {folder}")
    return folder
