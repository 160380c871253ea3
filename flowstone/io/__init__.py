"""IO managers: where values live.

manager.py      the contract: IOManager, Target, Stored
memory.py       MemoryIO: values by reference
postgres.py     PostgresIO: values in the run store
files.py        FileIO: values as files; below both, from the top down
  translation.py  values to bytes and back, and what is said where that fails
  codecs/         one way to do it each, exactly
  locations.py    where a value lies, as text
  file_names.py   one name for every key
  objects.py      whole files or none
  folders.py      folders nothing leads out of
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowstone.io.manager import IOManager, Stored, Target
from flowstone.io.memory import MemoryIO

if TYPE_CHECKING:
    from flowstone.io.files import FileIO
    from flowstone.io.postgres import PostgresIO

__all__ = ["FileIO", "IOManager", "MemoryIO", "PostgresIO", "Stored", "Target"]

_LATER = {"FileIO": "flowstone.io.files", "PostgresIO": "flowstone.io.postgres"}


def __getattr__(name: str) -> Any:
    """The managers that encode values load only where one is used, and their codecs with them."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
