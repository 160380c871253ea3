"""What is alive in a journal, written down by another process: a filter from one file to another.

To replay a journal makes as many objects as the history has records, and while the interpreter looks through them
for garbage, hundreds of milliseconds at a time, no other thread of it runs. So a process of its own does it. It
reads the journal as its standard input and writes to its standard output, and knows no other file: if the store's
process dies, it can do no harm to the next one. What it wrote is checked line by line before it is used.

Where there is no interpreter to start, as in a program frozen into one file, a thread does the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable
from flowstone.store.journal_draft import Draft
from flowstone.store.journal_lines import decode_body
from flowstone.store.journal_reader import JournalReader, damage
from flowstone.store.replay import Replay
from flowstone.store.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Stopped", "Summary", "main"]

_MOST: Final = 0.5  # A journal is replaced if less than such a part of it is alive.
_SLICE: Final = 0.001  # Seconds.
_NOT_WORTH_IT: Final = 3  # The exit status that says so.
_PROGRAM: Final = """
import sys
sys.path += sys.argv.pop(1).split({separator!r})
from flowstone.store.summary import main
sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


class Stopped(Exception):
    """The work was given up, because the store is being closed."""


class Summary:
    """One summary; all but `stop` is called on a thread that may wait."""

    def __init__(self) -> None:
        self._stopped = Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._since = perf_counter()

    def stop(self) -> None:
        """Give it up."""
        self._stopped.set()
        if self._process is not None:
            self._process.kill()

    def keep_pace(self) -> None:
        """Let other threads have the interpreter; called between small pieces of work. Raises `Stopped`."""
        if self._stopped.is_set():
            raise Stopped
        if perf_counter() - self._since >= _SLICE:
            sleep(_SLICE)
            self._since = perf_counter()

    def write(self, path: Path, length: int, file: int) -> bool:
        """Write what is alive in the first `length` bytes of a journal to a file; False if it is not worth it.

        Raises:
            Stopped: See `stop`.
            StoreUnavailable: The journal is damaged, or the process failed.
            OSError: The disk refused it.
        """
        from multiprocessing.spawn import get_executable  # noqa: PLC0415 - few processes ever need it

        executable = get_executable()
        if not executable or getattr(sys, "frozen", False):
            return summarise(path, length, int(length * _MOST), file, self.keep_pace)
        status, said = self._run([os.fsdecode(executable), *_arguments(path, length)], path, file)
        if self._stopped.is_set():
            raise Stopped
        if status not in {0, _NOT_WORTH_IT}:
            raise StoreUnavailable(said or f"the process that summarises it ended with status {status}")
        return status == 0

    def _run(self, command: list[str], path: Path, file: int) -> tuple[int, str]:
        with path.open("rb") as source:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=source,
                stdout=file,
                stderr=subprocess.PIPE,
                start_new_session=True,  # A Ctrl-C is for the store's process, which then stops this one.
            )
        with self._process as process:
            if self._stopped.is_set():
                process.kill()
            _, said = process.communicate()
        lines = said.decode(errors="replace").strip().splitlines()
        return process.returncode, lines[-1] if lines else ""


def summarise(path: Path, length: int, most: int, file: int, keep_pace: Callable[[], None]) -> bool:
    """Replay the first `length` bytes of a journal and write what is alive; False if that is more than `most`."""
    replay = Replay()
    with JournalReader(path) as reader:
        try:
            for body in reader.bodies(length):
                replay.apply(decode_body(body))
                keep_pace()
        except ValueError as error:
            raise StoreUnavailable(damage(reader, error, replay)) from error
    draft = Draft(file)
    for operation in snapshot(replay.history):
        draft.add(operation)
        if draft.size > most:
            return False
        keep_pace()
    draft.sync()
    return True


def main(path: str, length: int, most: int) -> int:
    """The process: see above. The exit status says how it went, and the standard error stream what was wrong."""
    with suppress(AttributeError, OSError):
        os.nice(10)
    parent = os.getppid()

    def watch() -> None:
        if os.getppid() != parent:
            raise SystemExit(_NOT_WORTH_IT)  # Nobody waits for it any more.

    try:
        worth_it = summarise(Path(path), length, most, sys.stdout.fileno(), watch)
    except (StoreUnavailable, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if worth_it else _NOT_WORTH_IT


def _arguments(path: Path, length: int) -> list[str]:
    """Isolated from the environment and the working directory: the standard library comes first, then FlowStone.

    What this process has put before them on its path since, such as the directory of a pipeline, comes behind them.
    """
    here = str(Path(__file__).parents[2])
    places = os.pathsep.join([here, *filter(None, sys.path)])
    program = _PROGRAM.format(separator=os.pathsep)
    return ["-I", "-S", "-c", program, places, str(path), str(length), str(int(length * _MOST))]
