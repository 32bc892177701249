"""Triton kernels, in processes of their own, because triton decides at import how kernels run.

Their cases are in tests/models/kernels: they run on a CUDA device, or else under Triton's interpreter.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch

from models.kernels import SWITCH, can_run
from tests.conftest import REPO

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")


def run_python(*arguments: str, **variables: str) -> str:
    """Return the output of a python process, which must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=REPO, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kernels_equal_the_published_formulation():
    interpret = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    cases = sorted(str(path) for path in (REPO / "tests/models/kernels").glob("cases_*.py"))
    assert " passed" in run_python("-m", "pytest", *cases, **interpret)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here they run")
def test_kernels_compile_for_a_hopper_gpu(tmp_path):
    # Optimising takes most of a compilation and refuses nothing.
    variables = {"TRITON_INTERPRET": "0", "DISABLE_PTXAS_OPT": "1", "TRITON_DISABLE_LINE_INFO": "1"}
    output = run_python("-m", "tests.models.kernels.compile_for_hopper", TRITON_CACHE_DIR=str(tmp_path), **variables)
    kernels = {"max_act", "gather_gradient", "column_sums", "pool", "pool_gradient", "knn"}
    assert {f"_{name}_kernel" for name in kernels} == set(output.split())


def test_kernels_run_on_cuda_tensors_unless_they_are_switched_off(monkeypatch):
    on_device, on_cpu = SimpleNamespace(is_cuda=True), torch.empty(0)
    monkeypatch.delenv(SWITCH, raising=False)
    assert (can_run(on_device), can_run(on_cpu)) == (True, False)
    monkeypatch.setenv(SWITCH, "0")
    assert not can_run(on_device)
