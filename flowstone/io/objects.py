"""Whole files or none: how bytes become a durable, immutable file below a root.

    .tmp/<random>   written and fsynced here, out of sight
        | link      appears under its name in one step, never over another file
    asset/key/name  then the folders that gained an entry are fsynced

A process that dies on the way leaves at most a file in `.tmp`, which no location can name; such files are
swept away when they are a day old, because a younger one may belong to a process that is still writing it.
"""

from __future__ import annotations

import os
import secrets
import stat
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from flowstone.io.folders import Folder
from flowstone.permissions import PRIVATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Abandoned", "Objects"]

_SCRATCH: Final = ".tmp"
_STALE_SECONDS: Final = 24 * 60 * 60
_CHUNK: Final = 8 * 1024 * 1024
_REMEMBERED_FOLDERS: Final = 10_000


class Abandoned(Exception):
    """Nobody waits for the file any more, so it was not finished."""


class Objects:
    """The files below one root. Every method blocks, and raises `OSError` as the system gives it.

    Args:
        root: Absolute path of the folder; created by the first `publish`.
        clock: Seconds since the epoch, to tell how old an abandoned temporary file is.
        mode: Permissions of files that are made; folders get the fitting ones.
    """

    def __init__(self, root: str, *, clock: Callable[[], float] = time.time, mode: int = PRIVATE) -> None:
        self.root = root
        self._mode = mode
        self._clock = clock
        self._durable: set[tuple[str, ...]] = set()
        self._swept = False
        self._lock = threading.Lock()

    def publish(
        self, folders: Sequence[str], name: str, data: bytes, abandoned: Callable[[], bool] = lambda: False
    ) -> None:
        """Make `data` the content of a new file, durably.

        Raises:
            FileExistsError: The file is there already; it is left alone.
            Abandoned: `abandoned()` became true; nothing is left behind.
        """
        with ExitStack() as stack:
            scratch = stack.enter_context(self._scratch())
            temporary = secrets.token_hex(16)
            stack.callback(scratch.remove, temporary)
            _write(scratch, temporary, data, abandoned)
            chain = stack.enter_context(self._opened(folders, create=True))
            if abandoned():
                raise Abandoned
            scratch.move(temporary, chain[-1], name)
            try:
                self._make_durable(chain, folders)
            except OSError:
                chain[-1].remove(name)
                raise

    def read(self, folders: Sequence[str], name: str) -> bytes:
        """The content of a file."""
        with self._opened(folders) as chain:
            return chain[-1].read(name)

    def remove(self, folders: Sequence[str], name: str) -> None:
        """Remove a file; one that is not there is not an error."""
        try:
            with self._opened(folders) as chain:
                if chain[-1].remove(name):
                    chain[-1].sync()
        except FileNotFoundError:
            pass

    def exists(self, folders: Sequence[str], name: str) -> bool:
        """Whether there is such a file."""
        try:
            with self._opened(folders) as chain:
                return stat.S_ISREG(chain[-1].stat(name).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def check(self) -> None:
        """Raise `OSError` if no file could be published now, as far as can be told without writing one."""
        with self._scratch():
            pass

    @contextmanager
    def _opened(self, folders: Sequence[str], *, create: bool = False) -> Iterator[list[Folder]]:
        with ExitStack() as stack:
            chain = [stack.enter_context(Folder.root(self.root, create=create, mode=self._mode))]
            for name in folders:
                chain.append(stack.enter_context(chain[-1].folder(name, create=create)))
            yield chain

    @contextmanager
    def _scratch(self) -> Iterator[Folder]:
        with (
            Folder.root(self.root, create=True, mode=self._mode) as root,
            root.folder(_SCRATCH, create=True) as scratch,
        ):
            with self._lock:
                first, self._swept = not self._swept, True
            if first:
                self._sweep(scratch)
            yield scratch

    def _sweep(self, scratch: Folder) -> None:
        oldest = self._clock() - _STALE_SECONDS
        for name in scratch.names():
            try:
                if scratch.stat(name).st_mtime < oldest:
                    scratch.remove(name)
            except OSError:  # Another process sweeps too, or it is not ours to remove: tidying can wait.
                continue

    def _make_durable(self, chain: list[Folder], folders: Sequence[str]) -> None:
        chain[-1].sync()
        # The folders above need it only when they gained an entry. One that another thread or process has
        # just made may not be durable yet, so what counts is whether *we* have synced it, not who made it.
        for depth in range(len(folders) - 1, -1, -1):
            path = tuple(folders[: depth + 1])
            if path not in self._durable:
                chain[depth].sync()
                self._remember(path)

    def _remember(self, path: tuple[str, ...]) -> None:
        with self._lock:
            if len(self._durable) >= _REMEMBERED_FOLDERS:
                self._durable.clear()
            self._durable.add(path)


def _write(folder: Folder, name: str, data: bytes, abandoned: Callable[[], bool]) -> None:
    fd = folder.open_new(name)
    try:
        rest = memoryview(data)
        while rest:
            if abandoned():
                raise Abandoned
            rest = rest[os.write(fd, rest[:_CHUNK]) :]
        os.fsync(fd)
    finally:
        os.close(fd)
