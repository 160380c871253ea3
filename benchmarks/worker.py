"""Takes the figures of one benchmark on one loop: `python -m benchmarks.worker core.chain uvloop` prints JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import sys


def main() -> None:
    """Run `benchmarks.SUITE.NAME.measure` and print its figures."""
    name, loop = sys.argv[1:3]
    measure = importlib.import_module(f"benchmarks.{name}").measure
    with asyncio.Runner(loop_factory=factory(loop)) as runner:
        figures = runner.run(measure(quick="--quick" in sys.argv))
    json.dump([dataclasses.asdict(figure) for figure in figures], sys.stdout)


def factory(loop: str):
    """The event loop to use; uvloop is imported only where it is asked for."""
    return importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None


if __name__ == "__main__":
    main()
