"""Where runs are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.runs.records import StepKey
from flowstone.store.json_safe import json_safe
from flowstone.store.memory import MemoryStore
from flowstone.store.open import open_store
from flowstone.store.protocol import KeyTaken, StaleWrite, Store

if TYPE_CHECKING:
    from flowstone.store.file import FileStore

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


def __getattr__(name: str) -> Any:
    """`FileStore` and the dozen modules of its journal load only where one is used."""
    if name != "FileStore":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flowstone.store.file import FileStore  # noqa: PLC0415 - see above

    return FileStore
