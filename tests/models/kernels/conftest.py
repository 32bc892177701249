"""Fixtures of the kernel cases, which tests/models/test_kernels.py runs in a process of their own."""

import pytest
import torch

from models.layers import edge_conv, pooled_conv, row_norm


@pytest.fixture
def device() -> torch.device:
    """Return a CUDA device where there is one; else Triton's interpreter runs on CPU tensors."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(autouse=True)
def _small_programs(monkeypatch, device):
    """Shrink programs, so that inputs small enough for the interpreter still need several where rows are wide."""
    from models.kernels import tiles

    if device.type == "cpu":
        monkeypatch.setattr(tiles, "STEPS", 2)
        monkeypatch.setattr(tiles, "WARPS", 16)
    torch.manual_seed(0)


@pytest.fixture
def by_kernels(monkeypatch) -> None:
    """Let layers run the kernels, as they do on CUDA."""
    for module in (edge_conv, pooled_conv, row_norm):
        monkeypatch.setattr(module, "can_run", lambda x: True)
