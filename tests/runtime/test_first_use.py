"""What the first use of a runtime in memory loads: nothing of what it does not use."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, sys
from flowstone import Pipeline, Runtime

pipeline = Pipeline("p")

@pipeline.asset
async def one() -> int:
    return 1

async def main():
    async with Runtime(pipeline) as runtime:
        await runtime.materialize("one")
        assert await runtime.status("one") == "succeeded"

asyncio.run(main())
print(*sys.modules)
"""

NOT_USED = (
    "flowstone.store.file",
    "flowstone.store.codec",
    "flowstone.store.postgres",
    "flowstone.io.files",
    "flowstone.io.postgres",
    "flowstone.runtime.cluster.remote_runs",
    "flowstone.runtime.execution.process_pool",
    "multiprocessing",
)


def test_a_runtime_in_memory_loads_no_files_no_processes_and_no_cluster():
    """Each of them would make the first result wait."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert not set(NOT_USED) & set(done.stdout.split())
