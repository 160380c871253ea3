"""IO managers: where values live.

manager.py      the contract: IOManager, Target, Stored
memory.py       MemoryIO: values by reference
postgres.py     PostgresIO: values in the run store
  small_values.py what is not worth a thread
files.py        FileIO: values as files; below both, from the top down
  translation.py  values to bytes and back, and what is said where that fails
  codecs/         one way to do it each, exactly
  locations.py    where a value lies, as text
  file_names.py   one name for every key
  objects.py      whole files or none
  folders.py      folders nothing leads out of
  threads.py      blocking work off the loop
  os_errors.py    what the system's refusals mean
"""

from __future__ import annotations

from flowstone.io.files import FileIO
from flowstone.io.manager import IOManager, Stored, Target
from flowstone.io.memory import MemoryIO
from flowstone.io.postgres import PostgresIO

__all__ = ["FileIO", "IOManager", "MemoryIO", "PostgresIO", "Stored", "Target"]
