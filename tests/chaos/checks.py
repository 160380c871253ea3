"""What must be true once everything is quiet again, by what the client was told and what was really executed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowstone import Status
from flowstone.io.postgres import PostgresIO
from flowstone.runs.events import StepStarted, StepSucceeded
from flowstone.runs.planner import plan_run
from flowstone.runs.state import RunState
from tests.chaos.marks import marks
from tests.chaos.pipeline import io_managers

if TYPE_CHECKING:
    from flowstone.runs.events import Event
    from flowstone.runs.records import Materialization, RunRecord
    from tests.chaos.world import World

__all__ = ["Findings", "check"]

EMPTY = {
    "step leases": "select count(*) from flowstone.step_leases",
    "unfinished runs": "select count(*) from flowstone.runs where finish_order is null",
    "queue entries": "select count(*) from flowstone.queue",
    "current values that were not recorded last": """
        select count(*) from flowstone.current where valid and arrival < (
            select max(made.arrival) from flowstone.materializations as made
            where made.asset = current.asset and made.key = current.key and made.status = 'succeeded')""",
}


@dataclass(slots=True)
class Findings:
    """Counts, and a sentence for each broken promise.

    Attributes:
        acknowledged: Submits that the client was told are durable.
        lost: Of those, the ones that are not there.
        steps: Terminal records.
        doubled: Steps whose success or whose start was recorded twice.
        executions: Calls of asset functions.
        broken: Everything that must not be.
    """

    acknowledged: int = 0
    lost: int = 0
    steps: int = 0
    doubled: int = 0
    executions: int = 0
    broken: list[str] = field(default_factory=list)


async def check(world: World, runs: set[str]) -> Findings:
    """Look at everything about these runs."""
    found = Findings()
    told = {run_id: steps for run_id, steps in world.ledger.read("submitted").items() if run_id in runs}
    seen = world.ledger.read("succeeded")
    executed = Counter(
        (each.run_id, each.asset, each.key, each.attempt) for each in marks(world.place / "marks")
    )
    found.acknowledged = len(told)
    found.executions = sum(count for (run_id, *_), count in executed.items() if run_id in runs)
    for run_id, steps in told.items():
        record = await world.store.run(run_id)
        if record is None:
            found.lost += 1
            found.broken.append(f"run {run_id} was acknowledged and is lost")
            continue
        await _check_run(world, record, steps, executed, found)
        if run_id in seen and record.status is not Status.SUCCEEDED:
            found.broken.append(f"the client saw {run_id} succeed, and it is {record.status}")
    for what, query in EMPTY.items():
        left = (await world.ask(query))[0][0]
        if left:
            found.broken.append(f"{left} {what} are left")
    return found


async def _check_run(
    world: World, record: RunRecord, steps: int, executed: Counter[tuple[str, str, str, int]], found: Findings
) -> None:
    events = await _events(world, record.id)
    records = list(await world.store.steps(record.id))
    found.steps += len(records)
    if record.status is not Status.SUCCEEDED:
        found.broken.append(f"{record.id} is {record.status}")
    if len(records) != steps or any(each.status is not Status.SUCCEEDED for each in records):
        kinds = Counter(each.status.value for each in records)
        found.broken.append(f"{record.id} has {dict(kinds)} of {steps} steps")
    successes = Counter((e.asset, e.partition_key) for e in events if isinstance(e, StepSucceeded))
    starts = Counter((e.asset, e.partition_key, e.attempt) for e in events if isinstance(e, StepStarted))
    for kind, counts in (("success", successes), ("start", starts)):
        twice = [key for key, count in counts.items() if count > 1]
        found.doubled += len(twice)
        found.broken += [
            f"the {kind} of {key} in {record.id} is recorded {counts[key]} times" for key in twice
        ]
    _check_attempts(record, events, starts, executed, found)
    await _check_replay(world, record, events, found)
    for each in records:
        await _check_value(world, each, found)


def _check_attempts(
    record: RunRecord,
    events: list[Event],
    starts: Counter[tuple[str, str | None, int]],
    executed: Counter[tuple[str, str, str, int]],
    found: Findings,
) -> None:
    """No function runs whose start is not recorded; the newest attempt is the one that succeeded."""
    for (run_id, asset, key, attempt), count in executed.items():
        if run_id == record.id and not starts[asset, key, attempt]:
            found.broken.append(
                f"attempt {attempt} of {asset}[{key}] in {run_id} ran {count} times unrecorded"
            )
        if run_id == record.id and count > 1:
            found.broken.append(f"attempt {attempt} of {asset}[{key}] in {run_id} ran {count} times")
    last: dict[tuple[str, str | None], int] = {}
    for event in events:
        if isinstance(event, StepStarted):
            key = event.asset, event.partition_key
            if event.attempt <= last.get(key, 0):
                found.broken.append(f"{key} in {record.id} went back to attempt {event.attempt}")
            last[key] = event.attempt
        elif isinstance(event, StepSucceeded):
            key = event.asset, event.partition_key
            if event.attempt != last.get(key):
                found.broken.append(
                    f"{key} in {record.id} succeeded in attempt {event.attempt} after {last.get(key)} had begun"
                )


async def _check_replay(world: World, record: RunRecord, events: list[Event], found: Findings) -> None:
    """The events, replayed, give what the tables say."""
    view = await world.client._client.view()
    plan = plan_run(view.graph, view, record.request)
    state = RunState(plan, max_parallel=1)
    for event in events:
        state.replay(event)
    replayed = {status.value: count for status, count in state.counts.items() if count}
    if replayed != dict(record.counts):
        found.broken.append(f"{record.id} replays to {replayed}, and its row says {dict(record.counts)}")


async def _check_value(world: World, record: Materialization, found: Findings) -> None:
    """It loads, with the recorded digest (the managers compare), and says which attempt made it."""
    managers = {"default": PostgresIO().attach(world.store), **io_managers(world.place)}
    try:
        value = await managers[record.io].load(str(record.location))
    except Exception as error:
        found.broken.append(f"the value of {record.name} in {record.run_id} does not load: {error}")
        return
    made = (value["run"], value["attempt"]) if isinstance(value, dict) else tuple(value[1:])
    if made != (record.run_id, record.attempt):
        found.broken.append(
            f"the value of {record.name} in {record.run_id} is of {made}, not {record.attempt}"
        )


async def _events(world: World, run_id: str) -> list[Event]:
    events: list[Event] = []
    after = 0
    while page := await world.store.events(run_id, after=after):
        after = page[-1][0]
        events += [event for _, event in page]
    return events
