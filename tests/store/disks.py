"""Disks that can be told to fail or to wait, in place of the `os` that the journal sees."""

from __future__ import annotations

import errno
import os
import threading

from flowstone.store import journal_draft, journal_file


class Disk:
    """The real `os`, except for what a test switches on.

    Attributes:
        syncs: How often the disk was asked to make things durable.
        room: Bytes that may still be written, or None for any number.
        broken: Names of calls that fail with an input/output error.
        gate: Clear it to make `fsync` wait; set it to let it go on.
        reached: Set when an `fsync` waits.
    """

    def __init__(self, monkeypatch) -> None:
        self.syncs = 0
        self.room: int | None = None
        self.broken: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()
        for module in (journal_file, journal_draft):
            monkeypatch.setattr(module, "os", self)

    def __getattr__(self, name):
        return getattr(os, name)

    def write(self, file, data):
        """Write what there is room for, as a full disk does."""
        self._check("write")
        if self.room is None:
            return os.write(file, data)
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(file, data[: self.room])
        self.room -= written
        return written

    def fsync(self, file):
        self.syncs += 1
        self.reached.set()
        assert self.gate.wait(60)
        self._check("fsync")
        os.fsync(file)

    def ftruncate(self, file, length):
        self._check("ftruncate")
        os.ftruncate(file, length)

    def _check(self, name):
        if name in self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
