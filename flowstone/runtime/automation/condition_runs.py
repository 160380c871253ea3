"""The runs that a condition asks for: one of the asset alone for each partition, or one for many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.runs.automation import RULE, TAG, NewRun
from flowstone.runs.planner import plan_run
from flowstone.runtime.client.requests import backfill_request, run_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.records import Refresh, RunSpec
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["condition_runs"]

_SINGLE: Final = 10
"""So many partitions of an asset that are due at a time get a run each; more of them share one."""

_SHARED: Final = 1_000
"""So many partitions share a run at most."""

_MAX_PARALLEL: Final = 4  # Of a backfill, as `Runtime.backfill` has it.


def condition_runs(
    runs: LocalRuns, view: PartitionView, asset: str, partitions: Sequence[Any], rule: str, *, missing: bool
) -> Iterator[tuple[NewRun, Sequence[Any]]]:
    """The runs for partitions of an asset, each with the partitions that it is for.

    Args:
        runs: Describes runs.
        view: The partitions there are.
        asset: The asset's name.
        partitions: Which partitions, as values.
        rule: Which part of the condition asks for them.
        missing: Whether they are computed only if they still have no value.
    """
    refresh: Refresh = "missing" if missing else "all"
    tags = {TAG: asset, RULE: rule}
    if len(partitions) <= _SINGLE:
        for partition in partitions:
            spec = run_request(
                view,
                (asset,),
                partition=partition,
                refresh=refresh,
                max_parallel=None,
                timeout=None,
                tags=tags,
                upstream=False,
            )
            yield _new(runs, view, spec), (partition,)
        return
    for first in range(0, len(partitions), _SHARED):
        shared = partitions[first : first + _SHARED]
        spec = backfill_request(
            view,
            (asset,),
            partitions=shared,
            start=None,
            end=None,
            max_parallel=_MAX_PARALLEL,
            upstream=False,
            refresh=refresh,
            tags=tags,
        )
        yield _new(runs, view, spec), shared


def _new(runs: LocalRuns, view: PartitionView, spec: RunSpec) -> NewRun:
    plan = plan_run(view.graph, view, spec)
    return NewRun(runs.describe(plan, spec, None, 0), join=True)
