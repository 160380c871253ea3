"""Whether a run of nothing but its targets finds what these need: that is known before anything is written."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstone.errors import DependencyNotReady
from flowstone.runtime.run.inputs import FIRST, needs_of, not_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import StepKey
    from flowstone.store.protocol import Store

__all__ = ["check_inputs", "unready"]

_Step: TypeAlias = tuple[str, Any, str | None]
"""The asset, the partition, and its key."""

_AT_A_TIME: Final = 1_000  # Steps whose inputs are looked up together.
_SAID: Final = 5  # Steps of which a sentence is said.


async def check_inputs(
    store: Store,
    view: PartitionView,
    steps: Iterator[_Step],
    planned: Callable[[StepKey], bool] = lambda _key: False,
) -> None:
    """Raise unless each step has what it needs of steps that are not part of the run.

    Args:
        store: What has values.
        view: The partitions of the run.
        steps: Its steps.
        planned: Whether a step of this name is one of them.

    Raises:
        DependencyNotReady: `.missing` lists every one.
    """
    problems: list[DependencyNotReady] = []
    while some := list(islice(steps, _AT_A_TIME)):
        problems += await unready(store, view, some, planned)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        missing = tuple(dict.fromkeys(name for problem in problems for name in problem.missing))
        said = [problem.sentence for problem in problems[:_SAID]]
        if len(problems) > _SAID:
            said.append(f"{len(problems) - _SAID} more steps are not ready.")
        raise DependencyNotReady(" ".join(said), missing, remedies=FIRST)


async def unready(
    store: Store, view: PartitionView, steps: Sequence[_Step], planned: Callable[[StepKey], bool]
) -> list[DependencyNotReady]:
    """What the steps lack that lack anything; the arguments are those of `check_inputs`."""
    graph = view.graph
    needs = [(step, needs_of(graph, view, graph.assets[step[0]], step[1], step[2])) for step in steps]
    wanted = dict.fromkeys(key for _, its in needs for need in its for key in need.keys)
    there = {key for key in wanted if planned(key)}
    there.update(await store.current([key for key in wanted if key not in there]))
    found = (not_ready(view, graph.assets[step[0]], step[1], its, there) for step, its in needs)
    return [problem for problem in found if problem is not None]
