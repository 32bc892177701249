"""Fixtures of the kernel cases, which tests/models/test_kernels.py runs in a process of their own."""

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    """A CUDA device where there is one; else Triton's interpreter works on the CPU's tensors."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch, device):
    """Several programs for the tiny inputs that the interpreter can afford."""
    from models.kernels import tiles

    if device.type == "cpu":
        monkeypatch.setattr(tiles, "STEPS", 2)
    torch.manual_seed(0)
