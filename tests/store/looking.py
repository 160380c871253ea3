"""Looking at a journal from outside."""

from __future__ import annotations

from pathlib import Path

from flowstone.store import FileStore


async def reread(directory) -> FileStore:
    """What is on disk, as another process would read it now."""
    reader = FileStore(directory, read_only=True)
    await reader.open()
    return reader


def journal(directory) -> Path:
    """The journal's path."""
    return directory / "journal.jsonl"
