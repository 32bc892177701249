"""Fixtures shared by all tests."""

import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest

REPO = Path(__file__).resolve().parent.parent
LONGEST = (
    *("test_kernels.py", "test_same_on_many.py", "test_kill_resume.py", "test_programs_on_many.py"),
    *("test_slurm_pretrain.py", "test_log_wandb.py", "test_make_rooms.py", "test_export_formats.py"),
    *("test_notebook.py", "test_export_program.py", "test_train_crosspoint.py", "test_train_partseg.py"),
    *("test_make_shapes.py", "test_train_crossmost.py", "test_fuzz.py", "test_step.py"),
)
ROOM = 2e9  # bytes; files of the whole suite take up to 1.6 GB at a time, by two processes


def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop before the whole suite fills the disk, which would show as hundreds of failures of other kinds."""
    is_worker = hasattr(session.config, "workerinput")
    if is_worker or session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        pytest.exit(
            f"{folder} has {free / 1e9:.1f} GB free, files of the tests take up to {ROOM / 1e9:.0f} GB: make room, or "
            "name another folder by TMPDIR",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the files that take longest first, so that at the end no process is left alone with one of them."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


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
    from tests.support.light_runs import light  # late: xdist's controller needs no torch

    with light():
        yield


@pytest.fixture(scope="module")
def light_rooms(light_training):
    """Trainings of the module on rooms use a small SR-UNet, too."""
    from tests.support.tiny_rooms import tiny_plan  # late, as above

    with tiny_plan():
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference material beside the checkout; skip where it is absent."""
    folder = REPO.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"reference material not found at {folder}")
    return folder
