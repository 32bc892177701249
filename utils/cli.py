"""What every entry program does with a caller's mistake: one message, a non-zero exit status."""

import argparse
import sys
from collections.abc import Callable

USER_ERROR = 2


def run_main(main: Callable[[], int | None]) -> None:
    """Run `main` and exit with its status.

    A ValueError or OSError (missing file, no permission, full disk) is the caller's to mend: its message
    goes to stderr as `error: ...` with exit status 2 and no traceback. Anything else is our bug and keeps
    its traceback.
    """
    try:
        status = main()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)
    sys.exit(status or 0)


def seed_number(text: str) -> int:
    """The value of a --seed flag, for argparse's `type`: a whole number every generator here can start from."""
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {2**31 - 1}, got {text}")
    return int(text)
