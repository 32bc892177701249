"""Programs start anew with an allocator that keeps freed memory, once, and only where it pays."""

import os
import platform
import subprocess
import sys

import pytest

from tests.conftest import REPO
from utils import allocator

PROGRAM = (
    "import os, sys; from utils.allocator import keep_freed_memory; keep_freed_memory('cpu'); "
    "print(os.environ.get('MALLOC_MMAP_MAX_'), sys.argv[1:])"
)


def run(**variables):
    environment = {key: value for key, value in os.environ.items() if key not in allocator.KEEP} | variables
    command = [sys.executable, "-c", PROGRAM, "a b", "--flag"]
    return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_program_starts_anew_with_its_arguments():
    assert run() == "0 ['a b', '--flag']\n"


def test_a_users_own_setting_stands():
    assert run(MALLOC_MMAP_MAX_="7") == "7 ['a b', '--flag']\n"


@pytest.mark.parametrize(("device", "has_cuda"), [("cuda", False), ("cuda:1", True), ("auto", True)])
def test_with_a_gpu_nothing_happens(monkeypatch, device, has_cuda):
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_cuda)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started anew"))
    for name in allocator.KEEP:
        monkeypatch.delenv(name, raising=False)
    allocator.keep_freed_memory(device)
