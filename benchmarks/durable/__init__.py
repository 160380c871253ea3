"""Everything on Postgres. Each module has `async def measure(*, quick) -> list[Figure]`."""

from __future__ import annotations

__all__ = ["BENCHMARKS", "LOOPLESS"]

BENCHMARKS = (
    "backfill",
    "concurrent",
    "latency",
    "submitting",
    "workers",
    "waking",
    "adoption",
    "embedded",
    "size",
    "million",
    "items",
    "listening",
    "conditions",
    "logs",
)
LOOPLESS = frozenset({"submitting", "workers", "waking", "adoption", "embedded", "size", "million", "logs"})
