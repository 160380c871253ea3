"""Two assets, one call: `uv run python examples/quickstart.py`.

`report` has a parameter called `raw`, so it depends on the asset of that name. Nothing else is wired.
"""

from __future__ import annotations

import asyncio

from rich.console import Console

from flowstone import Context, Pipeline, Runtime

pipeline = Pipeline("quickstart")


@pipeline.asset
async def raw() -> list[dict[str, str | int]]:
    """What an API would answer; `async def` runs on the event loop."""
    await asyncio.sleep(0.05)
    return [
        {"city": "Lisbon", "visitors": 1_204},
        {"city": "Oslo", "visitors": 640},
        {"city": "Lisbon", "visitors": 311},
        {"city": "Kyoto", "visitors": 987},
    ]


@pipeline.asset
def report(raw: list[dict[str, str | int]], context: Context) -> dict[str, int]:
    """Visitors of each city; a plain `def` runs in a worker thread."""
    totals: dict[str, int] = {}
    for row in raw:
        totals[str(row["city"])] = totals.get(str(row["city"]), 0) + int(row["visitors"])
    context.metadata["cities"] = len(totals)
    return totals


async def main() -> None:
    """Compute `report` and everything it needs, then look at what was recorded."""
    console = Console()
    async with Runtime(pipeline) as runtime:
        result = await runtime.materialize_all(report)

        totals = await result.value()
        widest = max(totals.values())
        for city, visitors in sorted(totals.items(), key=lambda row: -row[1]):
            console.print(f"{city:>8} [cyan]{'█' * (40 * visitors // widest)}[/] {visitors:,}")

        console.print()
        for step in result.succeeded:
            milliseconds = 1000 * (step.duration or 0)
            console.print(f"{step.asset:>8} {step.status} in {milliseconds:.1f} ms {dict(step.metadata)}")


if __name__ == "__main__":
    asyncio.run(main())
