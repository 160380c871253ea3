"""Whether a run of nothing but its targets finds what these need: that is known before anything is written."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowstone.errors import DependencyNotReady
from flowstone.runtime.run.inputs import FIRST, needs_of, not_ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from flowstone.assets.asset import Asset
    from flowstone.runs.plan import RunPlan
    from flowstone.runtime.run.inputs import Needs
    from flowstone.store.protocol import Store

__all__ = ["check_inputs"]

_AT_A_TIME: Final = 1_000  # Steps whose inputs are looked up together.
_SAID: Final = 5  # Steps of which a sentence is said.


async def check_inputs(store: Store, plan: RunPlan) -> None:
    """Raise unless each step has what it needs of assets whose step is not part of the run.

    Raises:
        DependencyNotReady: `.missing` lists every one.
    """
    problems: list[DependencyNotReady] = []
    numbers = iter(range(plan.total))
    while steps := list(islice(numbers, _AT_A_TIME)):
        problems += [problem async for problem in _problems(store, plan, steps)]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        missing = tuple(dict.fromkeys(name for problem in problems for name in problem.missing))
        said = [problem.sentence for problem in problems[:_SAID]]
        if len(problems) > _SAID:
            said.append(f"{len(problems) - _SAID} more steps are not ready.")
        raise DependencyNotReady(" ".join(said), missing, remedies=FIRST)


async def _problems(store: Store, plan: RunPlan, steps: Iterable[int]) -> AsyncIterator[DependencyNotReady]:
    needs = {step: _needs_of(plan, step) for step in steps}
    wanted = {key: None for _, _, all_of in needs.values() for need in all_of for key in need.keys}
    planned = {key for key in wanted if plan.number(*key) is not None}
    there = planned.union(await store.current([key for key in wanted if key not in planned]))
    for asset, partition, its in needs.values():
        problem = not_ready(plan.view, asset, partition, its, there)
        if problem is not None:
            yield problem


def _needs_of(plan: RunPlan, step: int) -> tuple[Asset[..., Any], Any, Sequence[Needs]]:
    name, partition, key = plan.step(step)
    asset = plan.graph.assets[name]
    return asset, partition, needs_of(plan.graph, plan.view, asset, partition, key)
