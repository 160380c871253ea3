"""From what a schedule or a sensor asks for to runs that can be written down."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from flowstone.assets.automation.run_request import RunRequest, nothing_to_run
from flowstone.assets.automation.schedule import LATEST
from flowstone.assets.partition_view import PartitionView
from flowstone.errors import ArgumentError, FlowstoneError, PartitionError
from flowstone.runs.automation import TAG, NewRun
from flowstone.runs.planner import plan_run
from flowstone.runs.targets import names_label, targets_of
from flowstone.runtime.client.requests import (
    assets_to_run,
    backfill_request,
    checked_key,
    checked_priority,
    run_request,
)
from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.planning import dynamic_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flowstone.runs.records import RunSpec
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["NoPartitionYet", "as_requests", "new_run", "new_runs", "view_at"]

_MOST_PARTITIONS = 1_000_000
_MAX_PARALLEL = 4  # Of a backfill, as `Runtime.backfill` has it.


class NoPartitionYet(PartitionError):
    """The latest partition was asked for, and there is none yet."""


def as_requests(given: Any, name: str) -> list[RunRequest]:
    """What a function of an automation gave, as a list.

    Raises:
        ArgumentError: It is something else than requests.
    """
    if given is None:
        return []
    if isinstance(given, RunRequest):
        return [given]
    if isinstance(given, list | tuple):
        for each in given:
            if not isinstance(each, RunRequest):
                raise _strange(each, name)
        return list(given)
    raise _strange(given, name)


def _strange(given: object, name: str) -> ArgumentError:
    return ArgumentError(
        f"{name} gave {given!r:.100} ({type(given).__name__}) where a RunRequest belongs: give "
        "RunRequest(asset, …), a list of them, or None."
    )


async def new_runs(
    ctx: RuntimeContext, runs: LocalRuns, name: str, requests: Sequence[RunRequest], at: datetime
) -> list[NewRun]:
    """The runs that an automation asks for, as they are written down.

    Args:
        ctx: What the runtime offers.
        runs: Describes runs.
        name: The automation.
        requests: What it asks for.
        at: The instant that closes open-ended partition sets, and decides which partition is the latest.

    Raises:
        FlowstoneError, TypeError, ValueError: A request cannot be carried out; the message says which and why.
    """
    if not requests:
        return []
    view = await view_at(ctx, at)
    return [new_run(runs, view, name, request) for request in requests]


async def view_at(ctx: RuntimeContext, at: datetime) -> PartitionView:
    """The partitions there are at an instant. Raises `StoreUnavailable`."""
    return PartitionView(ctx.snapshot.graph, at, await dynamic_keys(ctx) if ctx.snapshot.dynamic else None)


def new_run(runs: LocalRuns, view: PartitionView, name: str, request: RunRequest) -> NewRun:
    """One of them.

    Raises:
        FlowstoneError, TypeError, ValueError: It cannot be carried out.
    """
    try:
        return _new_run(runs, view, name, request)
    except (FlowstoneError, TypeError, ValueError):
        raise
    except (
        BaseException
    ) as error:  # what it is made of is the user's: iterables, mappings, objects of any kind
        raise TypeError(f"What {name!r} asked for cannot be read: {describe(error, None).message}") from None


def _new_run(runs: LocalRuns, view: PartitionView, name: str, request: RunRequest) -> NewRun:
    spec = _spec(view, name, request)
    plan = plan_run(view.graph, view, spec)
    record = runs.describe(plan, spec, None, checked_priority(request.priority))
    return NewRun(record, once=checked_key(request.key), join=bool(request.join))


def _spec(view: PartitionView, name: str, request: RunRequest) -> RunSpec:
    names, _ = assets_to_run(view.graph, request.asset)
    tags = {TAG: name, **request.tags}
    if request.partitions is not None:
        return backfill_request(
            view,
            names,
            partitions=_bounded(request.partitions, names),
            start=None,
            end=None,
            max_parallel=_MAX_PARALLEL,
            upstream=request.upstream,
            refresh=request.refresh,
            tags=tags,
            config=request.config,
        )
    partition = request.partition
    return run_request(
        view,
        names,
        partition=_latest(view, names) if isinstance(partition, str) and partition == LATEST else partition,
        refresh=request.refresh,
        max_parallel=None,
        timeout=None,
        tags=tags,
        upstream=bool(request.upstream),
        config=request.config,
    )


def _bounded(partitions: Any, names: tuple[str, ...]) -> Any:
    """The same, but what is made while it is read, as by a generator, is read here, and has an end."""
    if not isinstance(partitions, Iterator):
        return partitions
    found = list(islice(partitions, _MOST_PARTITIONS + 1))
    if len(found) > _MOST_PARTITIONS:
        raise ArgumentError(
            f"A RunRequest of {names_label(names)} lists more than {_MOST_PARTITIONS:,} partitions: make several "
            "of it."
        )
    if not found:
        raise nothing_to_run(names_label(names))
    return found


def _latest(view: PartitionView, names: tuple[str, ...]) -> Any:
    """The last key of the set of these at the instant of the view; the word itself where that is a key."""
    asset = targets_of(view, names, partitions=True).asset
    keys = view.set_of(asset)
    if keys is None:
        return LATEST
    if not keys.size:
        raise NoPartitionYet(f"{asset!r} has no partition yet at {view.now.isoformat()}.")
    return keys.key_at(keys.size - 1)
