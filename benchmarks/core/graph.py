"""10,000 assets, each with up to three upstream ones: defined, then built, validated and planned."""

from __future__ import annotations

import gc
import time

from benchmarks.figure import Figure
from benchmarks.functions import function
from flowstone import Pipeline, Runtime


async def measure(*, quick: bool) -> list[Figure]:
    """Milliseconds; defining happens when a user's module is imported, so it is a row of its own."""
    size, rounds = (500, 2) if quick else (10_000, 5)
    functions = [function(f"a{number}", upstream(number)) for number in range(size)]
    defined, planned = [], []
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        pipeline = Pipeline("graph")
        for each in functions:
            pipeline.asset(each)
        defined.append(time.process_time() - began)
        gc.collect()
        planned.append(await built_and_planned(pipeline, size))
    return [
        Figure(f"define {size:,} assets", "ms", min(defined) * 1e3),
        Figure(f"{size:,}-asset graph: build, validate, plan", "ms", min(planned) * 1e3, at_most=100),
        Figure("both, the first time in a process", "ms", (defined[0] + planned[0]) * 1e3, at_most=150),
    ]


def upstream(number: int) -> list[str]:
    """The one before, and two further back: a graph as deep as it is large, the hardest to sort."""
    return [f"a{number - back}" for back in (1, 7, 100) if number >= back]


async def built_and_planned(pipeline: Pipeline, size: int) -> float:
    """Seconds from a pipeline's definitions to the plan of everything."""
    began = time.process_time()
    graph = pipeline.graph
    built = time.process_time() - began
    assert len(graph) == size
    async with Runtime(pipeline) as runtime:
        began = time.process_time()
        plan = await runtime.plan(f"a{size - 1}")
        planned = time.process_time() - began
    assert len(plan) == size
    return built + planned
