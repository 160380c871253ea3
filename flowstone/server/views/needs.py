"""What needs somebody: what failed, what waits for an answer or a signal, what is overdue, what was given up."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

from flowstone.assets.partition_keys import decode_partition
from flowstone.counting import count
from flowstone.frozen import frozen
from flowstone.runs.records import Status
from flowstone.server.addresses import launch_path, partition_path
from flowstone.server.views.held_up import held_up_by, held_up_without_failure, number_held_up
from flowstone.server.views.waiting import answers_awaited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.asset_freshness import FreshnessStatus
    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runs.records import Materialization, RunRecord, StepKey
    from flowstone.runs.waits import WaitingStep
    from flowstone.runtime.runtime import Runtime
    from flowstone.server.asked import Asked
    from flowstone.server.views.asset_rows import AssetTable
    from flowstone.server.views.held_up import HeldUp

__all__ = ["FailedStep", "Needs", "read_needs"]

_SHOWN: Final = 6


@frozen
class FailedStep:
    """A partition whose newest record is a failure.

    Attributes:
        record: That record.
        path: Its page.
        launch: Where it is planned again.
        held_up: The most downstream of what was skipped because of it, planned where each says.
    """

    record: Materialization
    path: str
    launch: str
    held_up: Sequence[HeldUp]


@frozen
class Needs:
    """What needs somebody.

    Attributes:
        sentence: The first sentence of the page in parts: shape, words, and where it leads to.
        failed: Some of the partitions that failed.
        more_failed: How many more there are.
        runs: Runs that failed without a partition that did, and after which none of their asset has succeeded.
        waits: What somebody is to approve, and the signals that are to be sent.
        overdue: Assets that are overdue.
        given_up: Automations that too many failures have paused.
        held_up: What was skipped because of something that has not failed any more, by asset.
    """

    sentence: Sequence[tuple[str, str, str]]
    failed: Sequence[FailedStep]
    more_failed: int
    runs: Sequence[RunRecord]
    waits: Sequence[WaitingStep]
    overdue: Sequence[FreshnessStatus]
    given_up: Sequence[AutomationStatus]
    held_up: Sequence[HeldUp]

    @property
    def number(self) -> int:
        """How many there are."""
        parts = (self.failed, self.runs, self.waits, self.overdue, self.given_up, self.held_up)
        return self.more_failed + sum(map(len, parts))


async def read_needs(
    asked: Asked, table: AssetTable, automations: Sequence[AutomationStatus], newest: Sequence[RunRecord]
) -> Needs:
    """What there is now.

    Args:
        asked: Who asks.
        table: What has become of all assets.
        automations: All of them.
        newest: The newest runs.
    """
    runtime, graph = asked.runtime, asked.runtime.graph
    keys = _failed_keys(table)
    number = sum(states.counts.get(Status.FAILED, 0) for states in table.states.values())
    waits, failed = await asyncio.gather(
        answers_awaited(runtime),
        asyncio.gather(*(_failed_step(runtime, key, table) for key in keys)),
    )
    held_up = number_held_up(table.states)
    runs = _failed_runs(newest)
    overdue = [each for each in table.late.values() if each.status == "overdue"]
    given_up = [
        each for each in automations if each.paused and each.paused_by is None and each.failure is not None
    ]
    return Needs(
        _sentence(number, keys, runs, waits, len(overdue), len(given_up), held_up),
        [each for each in failed if each is not None],
        number - len(keys),
        runs[:_SHOWN],
        waits[:_SHOWN],
        overdue[:_SHOWN],
        given_up[:_SHOWN],
        list(islice(held_up_without_failure(graph, table.states), _SHOWN)) if held_up else (),
    )


def _failed_keys(table: AssetTable) -> list[StepKey]:
    """Some of the partitions that failed, those of each asset from the last to the first."""
    return [
        (asset, key)
        for asset, states in table.states.items()
        for key in states.latest_of(Status.FAILED, _SHOWN)
    ][:_SHOWN]


async def _failed_step(runtime: Runtime, step: StepKey, table: AssetTable) -> FailedStep | None:
    asset, key = step
    partition = None if key is None else decode_partition(key)
    record = next(iter(await runtime.history(asset, partition=partition, limit=1)), None)
    if record is None or record.failure is None:
        return None  # It has just been computed.
    held_up = held_up_by(runtime.graph, table.states, step)
    launch = held_up[0].launch if len(held_up) == 1 else launch_path(asset, (key,))
    return FailedStep(record, partition_path(asset, key), launch, held_up)


def _failed_runs(newest: Sequence[RunRecord]) -> list[RunRecord]:
    """The newest first; what failed of others is said of their partitions."""
    mended: set[str] = set()
    failed: list[RunRecord] = []
    for run in newest:
        if run.status is Status.SUCCEEDED:
            mended.update(run.assets)
        elif (
            run.status is Status.FAILED and not mended.issuperset(run.assets) and not run.counts.get("failed")
        ):
            failed.append(run)
    return failed


def _sentence(
    failed: int,
    keys: Sequence[StepKey],
    runs: Sequence[RunRecord],
    waits: Sequence[WaitingStep],
    overdue: int,
    given_up: int,
    held_up: int,
) -> list[tuple[str, str, str]]:
    parts = []
    if keys:
        noun = "asset" if all(key is None for _, key in keys) else "partition"
        parts.append(("fail", f"{count(failed, noun)} failed", "#needs"))
    if runs:
        parts.append(("fail", f"{count(len(runs), 'run')} failed", "#needs"))
    if held_up:
        verb = "is" if held_up == 1 else "are"
        parts.append(("skipd", f"{count(held_up, 'partition')} {verb} still to be made", "#needs"))
    if given_up:
        parts.append(("fail", f"{count(given_up, 'automation')} gave up", "#needs"))
    for kind, what in (("approval", "an answer"), ("signal", "a signal")):
        number = sum(each.kind == kind for each in waits)
        if number:
            verb = "waits" if number == 1 else "wait"
            parts.append(("wait", f"{count(number, 'step')} {verb} for {what}", "/waiting"))
    if overdue:
        verb = "is" if overdue == 1 else "are"
        parts.append(("wait", f"{count(overdue, 'asset')} {verb} overdue", "#needs"))
    return parts
