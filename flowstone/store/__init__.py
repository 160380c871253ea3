"""Where runs are remembered."""

from __future__ import annotations

from flowstone.runs.records import StepKey
from flowstone.store.file import FileStore
from flowstone.store.json_safe import json_safe
from flowstone.store.memory import MemoryStore
from flowstone.store.open import open_store
from flowstone.store.protocol import KeyTaken, StaleWrite, Store

__all__ = [
    "FileStore",
    "KeyTaken",
    "MemoryStore",
    "StaleWrite",
    "StepKey",
    "Store",
    "json_safe",
    "open_store",
]
