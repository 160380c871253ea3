"""Everything that needs no database. Each module has `async def measure(*, quick) -> list[Figure]`."""

from __future__ import annotations

__all__ = ["BENCHMARKS", "LOOPLESS"]

BENCHMARKS = (
    "chain",
    "fan_out",
    "backfill",
    "waiting",
    "sleeping",
    "latency",
    "startup",
    "mailbox",
    "crashing",
    "importing",
    "graph",
    "partitions",
    "memory",
    "items",
    "scaling",
    "conditions",
)
LOOPLESS = frozenset({"importing", "graph"})
