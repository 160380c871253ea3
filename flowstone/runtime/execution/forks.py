"""The end of a process that an asset's function has forked off.

`os.fork` copies the program, but only the thread that calls it: in the copy there is no event loop to take an
outcome, and no other thread. A function that returns there would leave a thread that waits for work for ever,
holding every file and connection the program has open; in a worker process it would answer a second time.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

__all__ = ["leave_fork"]


def leave_fork(process: int, error: BaseException | None = None) -> None:
    """Return in the process of that id; in any other, end as a program whose last line this was.

    Args:
        process: Where the function was called.
        error: What it raised.
    """
    if os.getpid() == process:
        return
    status = 0
    with suppress(BaseException):  # Printing runs the user's code, and nothing may escape.
        status = _report(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    os._exit(status)


def _report(error: BaseException | None) -> int:
    """The exit status, after what the interpreter would have printed."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        sys.stderr.write(f"{error.code}\n")
    else:
        traceback.print_exception(error)
    return 1
