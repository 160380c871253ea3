"""Assets whose route chooses at random, branches that succeed, skip or fail, and what takes what became of them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from flowstone import Context, Outcome, Skip
from tests.chaos.marks import Mark, mark

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from flowstone import Partitions, Pipeline

__all__ = ["BRANCHES", "add_branch_assets"]

BRANCHES = ("plain", "empty", "broken")
CALLS = "branches"


def add_branch_assets(pipeline: Pipeline, place: Path, random: Random, parts: Partitions) -> None:
    """`joined` takes the outcomes of the three branches of `way`, and of what is behind one of them."""

    async def called(context: Context, words: str = "-") -> None:
        mark(
            place / CALLS,
            Mark(
                context.run_id,
                f"{context.asset}:{words}",
                str(context.partition),
                context.attempt,
                os.getpid(),
            ),
        )
        await asyncio.sleep(random.uniform(0, 0.1))

    @pipeline.route(to=BRANCHES, partitions=parts)
    async def way(context: Context) -> list[str]:
        chosen = [
            name for name in BRANCHES if random.random() < 0.6
        ]  # Made again it is likely to be another.
        await called(context, "+".join(chosen) or "none")
        return chosen

    @pipeline.asset(partitions=parts)
    async def plain(context: Context) -> int:
        await called(context)
        return 1

    @pipeline.asset(partitions=parts)
    async def empty(context: Context) -> int:
        await called(context)
        raise Skip("nothing today")

    @pipeline.asset(partitions=parts)
    async def broken(context: Context) -> int:
        await called(context)
        raise ValueError("it never works")

    @pipeline.asset(partitions=parts)
    async def behind(plain: int, context: Context) -> int:
        await called(context)
        return plain + 1

    @pipeline.asset(partitions=parts)
    async def joined(
        plain: Outcome[int], empty: Outcome[int], broken: Outcome[int], behind: Outcome[int], context: Context
    ) -> dict[str, str]:
        await called(context)
        found = {"plain": plain, "empty": empty, "broken": broken, "behind": behind}
        return {name: str(outcome.status) for name, outcome in found.items()}
