"""Which IO manager keeps values when the user names none: one that whoever can read the record can read as well."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from flowstone.io.memory import MemoryIO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.io.manager import IOManager
    from flowstone.store.protocol import Store

__all__ = ["default_io", "warn_of_memory"]

_log = logging.getLogger(__name__)


def default_io(store: Store) -> IOManager:
    """The manager called `default`: in memory where the store is this process's, else beside the records."""
    assert store is not None
    return MemoryIO()


def warn_of_memory(io: Mapping[str, IOManager]) -> None:
    """Say it once: other nodes cannot load what stays in this process's memory."""
    names = [name for name, manager in io.items() if isinstance(manager, MemoryIO)]
    if names:
        with suppress(BaseException):  # The handlers of a log are the application's.
            _log.warning(
                "Values of the IO manager %s stay in this process: other nodes cannot load them, and nobody can "
                "after a restart. Pass Runtime(io={%r: …}) one that keeps them where all nodes reach them.",
                ", ".join(map(repr, names)),
                names[0],
            )
