"""IO managers: where values live.

manager.py      the contract: IOManager, Target, Stored
memory.py       MemoryIO: values by reference
files.py        FileIO: values as files; below it, from the top down
  codecs/         values to bytes and back, exactly
  locations.py    where a file lies, as text
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

__all__ = ["FileIO", "IOManager", "MemoryIO", "Stored", "Target"]
