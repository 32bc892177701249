import os
import platform
import subprocess
import sys

import pytest
import torch

from tests.conftest import REPO
from utils.processes import allocator

# What keep_freed_memory answered, and the page faults of filling 64 MiB (16,384 pages) 30 times.
PROGRAM = """
import resource, torch
from utils.processes.allocator import keep_freed_memory
answer = keep_freed_memory(torch.device("cpu"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    torch.ones(2**24)
print(answer, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
NAMES = [name for *_, name in allocator.KEEP]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again_without_page_faults():
    environment = {key: value for key, value in os.environ.items() if key not in NAMES}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=True)
    keeps, faults = done.stdout.split()
    assert keeps == "True"
    assert int(faults) < 15 * 2**14


@pytest.mark.parametrize("name", ["GLIBC_TUNABLES", *NAMES])
def test_on_a_gpu_nothing_happens_and_a_users_own_setting_stands(monkeypatch, name):
    monkeypatch.setattr("ctypes.CDLL", lambda _: pytest.fail("the allocator was changed"))
    assert not allocator.keep_freed_memory(torch.device("cuda"))
    monkeypatch.setenv(name, "131072")
    assert not allocator.keep_freed_memory(torch.device("cpu"))
