"""The pages and their streams. Each module has `async def measure(*, quick) -> list[Figure]`."""

from __future__ import annotations

__all__ = ["BENCHMARKS", "LOOPLESS"]

BENCHMARKS = ("weight", "overview", "attempts", "browsers")
LOOPLESS = frozenset(BENCHMARKS)
