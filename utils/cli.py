"""What every entry program does with a caller's mistake or Ctrl-C: one message, a non-zero exit status."""

import os
import sys
from collections.abc import Callable

from utils.processes.stop import Stopped

USER_ERROR = 2
INTERRUPTED = 130  # of shells: 128 and the number of SIGINT
STOPPED = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, run it again with --resume


def run_main(main: Callable[..., int | None], *args: object, goes_on: str = "") -> None:
    """Call `main` with `args` and exit with its status.

    A ValueError or OSError (missing file, no permission, full disk) is the caller's to repair: its message
    goes to stderr as `error: ...` with exit status 2 and no traceback. Anything else is our bug and keeps
    its traceback. A training that was told to stop exits with STOPPED. Ctrl-C ends in a line and INTERRUPTED.

    Args:
        goes_on: how the program goes on after Ctrl-C; words of the KeyboardInterrupt itself replace it.
    """
    rank = os.environ.get("RANK", "0")
    try:
        status = main(*args)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error{f' in process {rank}' if rank != '0' else ''}: {error}\n")  # one write: a whole line
        sys.exit(USER_ERROR)
    except KeyboardInterrupt as error:
        words = str(error) or goes_on
        if rank == "0":
            sys.stderr.write(f"interrupted{f'; {words}' if words else ''}\n")
        sys.exit(INTERRUPTED)
    except Stopped:
        sys.exit(STOPPED)
    sys.exit(status or 0)
