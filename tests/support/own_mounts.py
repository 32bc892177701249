"""Mount folders for one process alone; without being root where the system lets users have mounts of their own."""

import ctypes
import os
import subprocess
from pathlib import Path

NEW_MOUNTS, NEW_USER = 0x00020000, 0x10000000  # CLONE_NEWNS, CLONE_NEWUSER of linux/sched.h


class CannotMount(Exception):
    """The system lets this user mount nothing."""


def mount_here(*words: str) -> None:
    """Call `mount` with these words in mounts that only this process has.

    Raises:
        CannotMount: the system refuses it.
    """
    try:
        _leave_mounts_of_others()
        subprocess.run(["mount", *words], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMount(f"no file system can be mounted here: {error}") from error


def _leave_mounts_of_others() -> None:
    user, group = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS | (NEW_USER if user else 0)):
        raise OSError(ctypes.get_errno(), "unshare")
    if user:
        for name, text in {"setgroups": "deny", "uid_map": f"0 {user} 1", "gid_map": f"0 {group} 1"}.items():
            Path("/proc/self", name).write_text(text)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True, capture_output=True)
