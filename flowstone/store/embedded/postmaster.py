"""The running server, as `postmaster.pid` describes it: whether it answers, and how to tell it to stop."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen

if TYPE_CHECKING:
    import signal
    from typing import Self

__all__ = ["PORT", "Postmaster", "answers"]

PORT: Final = 5432  # Of the socket's name; nothing listens on a port.
_READY: Final = 7  # The line that says so.


@frozen
class Postmaster:
    """What the file says, true or not: its process may be gone, and the number another's by now."""

    data: Path
    pid: int
    ready: bool
    held: int | None = None

    @classmethod
    def of(cls, data: Path, held: int | None = None) -> Self | None:
        """The postmaster of a data directory, None if there is no (readable) file.

        Args:
            data: The directory's path.
            held: The open directory, by which it is known wherever it was moved to.
        """
        with suppress(OSError, ValueError, IndexError):
            lines = _text(data, held).splitlines()
            return cls(data, int(lines[0]), len(lines) > _READY and lines[_READY].strip() == "ready", held)
        return None

    def lives(self) -> bool:
        """Whether the process of that number works in this data directory, as only its postmaster does."""
        if not Path("/proc/self").exists():
            return self._is_named()
        with suppress(OSError):
            place = self.data.stat() if self.held is None else os.fstat(self.held)
            return os.path.samestat(Path(f"/proc/{self.pid}/cwd").stat(), place)
        return False

    def _is_named(self) -> bool:
        """The same without /proc: whether the data directory is in that process's command."""
        command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(self.pid)]
        answer = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - ps and a number
        return os.fsencode(f"-D {self.data} ") in answer.stdout

    def tell(self, what: signal.Signals) -> bool:
        """Send a signal, to no other process than the postmaster; False if it is not there."""
        if not self.lives():
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, what)
            return True
        return False


def _text(data: Path, held: int | None) -> str:
    if held is None:
        return (data / "postmaster.pid").read_text(errors="replace")
    file = os.open("postmaster.pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=held)
    with open(file, errors="replace") as text:  # noqa: PTH123 - an open file has no path
        return text.read()


def answers(directory: Path) -> bool:
    """Whether a server listens in a socket directory. A caller who says nothing is not logged."""
    with socket.socket(socket.AF_UNIX) as caller, suppress(OSError):
        caller.settimeout(1)
        caller.connect(str(directory / f".s.PGSQL.{PORT}"))
        return True
    return False
