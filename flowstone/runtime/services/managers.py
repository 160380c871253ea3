"""The IO managers of one runtime: those it was given, and a default that suits its store."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flowstone.io.manager import IOManager
from flowstone.io.memory import MemoryIO
from flowstone.runtime.options import by_name
from flowstone.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.store.protocol import Store

__all__ = ["attached", "named_managers", "warn_of_memory"]

_log = logging.getLogger(__name__)


def named_managers(given: Mapping[str, IOManager] | None) -> dict[str, IOManager]:
    """The managers that a runtime was given, by name. Raises TypeError if it was given something else."""
    managers = by_name("io", given)
    for name, manager in managers.items():
        # A class has the methods of its objects, so that the protocol alone would take it.
        if isinstance(manager, type):
            raise TypeError(
                f"Runtime(io={{{name!r}: …}}) takes an IO manager, not the class {manager.__name__}."
            )
        if not isinstance(manager, IOManager):
            raise TypeError(
                f"Runtime(io={{{name!r}: …}}) takes an IO manager, with the methods store, load, delete and "
                f"exists, not a {type(manager).__name__}."
            )
    return managers


def attached(given: Mapping[str, IOManager], store: Store) -> dict[str, IOManager]:
    """The managers for an open store, by name, each attached to it if it wants that.

    Without one called `default` there is one whose values last as long as the history, because a recorded success
    has to be loadable by whoever finds it: a `PostgresIO` where nodes share the store, files in the folder `values`
    of a store in a directory, a `MemoryIO` for a store in memory.

    Raises:
        IOManagerError: A manager cannot work with this store.
    """
    managers = given if "default" in given else {"default": _default(store), **given}
    return {name: _attached(manager, store) for name, manager in managers.items()}


def warn_of_memory(io: Mapping[str, IOManager]) -> None:
    """Say it once: other nodes cannot load what stays in this process's memory."""
    names = [name for name, manager in io.items() if isinstance(manager, MemoryIO)]
    if names:
        with suppress(BaseException):  # The handlers of a log are the application's.
            _log.warning(
                "Values of the IO manager %s stay in this process: other nodes cannot load them, and nobody can "
                "after a restart. Let %r be one that keeps them where all nodes reach them.",
                ", ".join(map(repr, names)),
                names[0],
            )


def _default(store: Store) -> IOManager:
    if store.cluster is not None:
        from flowstone.io.postgres import PostgresIO  # noqa: PLC0415 - only where nodes share the store

        return PostgresIO()
    if type(store) is not MemoryStore:
        from flowstone.io.files import FileIO  # noqa: PLC0415 - not where all is in memory
        from flowstone.store.file import FileStore  # noqa: PLC0415 - as above

        if isinstance(store, FileStore):
            return FileIO(store.directory.absolute() / "values", mode=store.mode)
    return MemoryIO()


def _attached(manager: Any, store: Store) -> IOManager:
    attach = getattr(manager, "attach", None)
    found: IOManager = manager if attach is None else attach(store)
    return found
