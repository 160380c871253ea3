"""What `import flowstone` costs a fresh interpreter, beside the two libraries nobody here can do without."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.figure import Figure

BARE = "import asyncio, pydantic"
LINES = {
    "import flowstone": "import flowstone",
    "import flowstone, use of Pipeline and Runtime": "from flowstone import Pipeline, Runtime",
}


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds of the import alone, without the interpreter's own start."""
    rounds = 2 if quick else 9
    taken: dict[str, list[float]] = {BARE: [], **{line: [] for line in LINES.values()}}
    for _ in range(rounds):
        for line, times in taken.items():
            times.append(milliseconds(line))
    bare = min(taken[BARE])
    return [Figure(name, "ms", min(taken[line]), bare, at_most=150) for name, line in LINES.items()]


def milliseconds(line: str) -> float:
    """The time one import takes in a fresh interpreter with warm byte code."""
    written = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    program = f"import time; t = time.process_time(); {line}; print(time.process_time() - t)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=written
    )
    return float(done.stdout) * 1e3
