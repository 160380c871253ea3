"""What a process holds after 1,000 steps; the worker's process is fresh, so this is its resident size."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.functions import function
from flowstone import Pipeline, Runtime


async def measure(*, quick: bool) -> list[Figure]:
    """Resident megabytes while the runtime still holds the run and its values."""
    size = 100 if quick else 1_000
    await run_chain(1)  # so that what a first run imports is not counted as what steps hold
    before = resident()
    after = await run_chain(size)
    return [
        Figure(f"resident after {size:,} steps", "MB", after, at_most=45),
        Figure(f"of which the {size:,} assets, steps and values", "MB", after - before),
    ]


async def run_chain(size: int) -> float:
    """Resident megabytes after a run of as many steps, while its runtime still holds everything."""
    pipeline = Pipeline("memory")
    pipeline.asset(function("s0"))
    for number in range(1, size):
        pipeline.asset(function(f"s{number}", [f"s{number - 1}"], f"return s{number - 1} + 1"))
    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all(f"s{size - 1}")
        assert len(result) == size
        return resident()


def resident() -> float:
    """Resident set size of this process in MB; the peak where the system tells only that."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    import resource  # noqa: PLC0415 - not on every system

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
