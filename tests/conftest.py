"""Fixtures shared by all tests."""

from pathlib import Path
from unittest.mock import patch

import pytest

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk():
    """Files of tests need not survive a power cut; their flushing took a good part of the time of the suite."""
    with patch("os.fsync", lambda descriptor: None):
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference material beside the checkout; its tests skip where it is absent."""
    folder = REPO.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"reference material not found at {folder}")
    return folder
