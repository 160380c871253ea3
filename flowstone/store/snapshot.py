"""What is left of a journal without its dead parts: the operations that lead to a state from nothing.

A record that a timeline and a run share is written once, in the timeline; the run's steps and events refer to
it by a pair of asset and key, which is what a run's records are told apart by.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowstone.runs.records import Materialization
from flowstone.store.audit_codec import encode_entry
from flowstone.store.automation_codec import encode_automation, encode_fire
from flowstone.store.codec import encode_event, encode_item, encode_materialization, encode_run, encode_wait
from flowstone.store.delivery_codec import encode_delivery, encode_follower_state
from flowstone.store.event_log import event_of
from flowstone.store.token_codec import encode_token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.store.automation_ledger import KnownAutomation
    from flowstone.store.event_log import Entry
    from flowstone.store.history import History
    from flowstone.store.replay import Operation
    from flowstone.store.run_log import RunLog

__all__ = ["live_facts", "snapshot"]

T = TypeVar("T")

_CHUNK: Final = 100  # Records or events in one operation: what is encoded at once holds up other threads.


def live_facts(history: History) -> int:
    """How many facts a snapshot of this state would hold, to compare with `Replay.facts`."""
    records = sum(len(timeline.records) for _, timeline in history.ledger.timelines())
    events = sum(1 + len(run.log.entries) for run in history.all_runs())
    events += sum(1 for run in history.all_runs() for _ in history.waits.of_run(run.id))
    events += sum(table.ended for table in history.items.values())
    automations = sum(1 + len(known.fires) + len(known.once) for known in history.automations.all())
    events += sum(1 + state.pending for _, state in history.outbox.followers())
    return records + events + automations + _single(history)


def _single(history: History) -> int:
    """How many things there are that are one fact each."""
    return len(history.partitions) + len(history.pool_slots) + len(history.tokens) + len(history.audit)


def snapshot(history: History) -> Iterator[Operation]:
    """The operations that lead to this state from nothing, see `replay`."""
    shared: set[int] = set()
    yield from _records(history, shared)
    for run in history.all_runs():
        yield from _run(run, shared)
        yield from _waits(history, run.id)
    for step, table in history.items.items():
        kept = table.io, step in history.unneeded
        for rows in _chunks(table.rows(None, -1, 0, None)):
            yield ["kept_items", *step, [encode_item(row) for row in rows], *kept]
    yield from _as_asked(history)
    for known in history.automations.all():
        yield from _automation(known)
    yield from _outbox(history)
    if history.feed.count:
        yield ["kept_feed", history.feed.count]
    yield from _audit(history)
    yield ["summary"]


def _records(history: History, shared: set[int]) -> Iterator[Operation]:
    """The records of each asset in the order in which they were recorded, those of one partition together."""
    left = {key: (len(timeline.records), timeline.valid) for key, timeline in history.ledger.timelines()}
    for (asset, key), following in groupby(history.ledger.recorded(), attrgetter("asset", "partition_key")):
        for records in _chunks(list(following)):
            shared.update(map(id, records))
            number, valid = left[asset, key]
            left[asset, key] = number - len(records), valid
            is_last = number == len(records)
            encoded = [encode_materialization(record) for record in records]
            yield ["timeline", asset, key, valid or not is_last, encoded]


def _as_asked(history: History) -> Iterator[Operation]:
    """What a summary says by the operations that changes are."""
    for name, keys in history.partitions.items():
        yield ["add", name, list(keys)]
    for name, slots in history.pool_slots.items():
        yield ["pool", name, slots]
    for digest, token in history.tokens.tokens.items():
        yield ["token", digest, encode_token(token)]
    for digest, (of, over) in history.tokens.sessions.items():
        yield ["session", digest, of, over.isoformat(), None]


def _audit(history: History) -> Iterator[Operation]:
    """Behind all that makes entries while it is read."""
    if not history.audit.count:
        return
    yield ["kept_audit", history.audit.count, []]
    for entries in _chunks(history.audit.all()):
        yield ["kept_audit", None, [encode_entry(entry) for entry in entries]]


def _automation(known: KnownAutomation) -> Iterator[Operation]:
    record = encode_automation(known.record)
    yield ["kept_automation", record, [encode_fire(fire) for fire in known.fires], {}]
    for keys in _chunks(list(known.once.items())):
        yield ["kept_automation", record, [], dict(keys)]


def _run(run: RunLog, shared: set[int]) -> Iterator[Operation]:
    head = run.head()
    yield ["kept", encode_run(head), run.log.first, run.arrival]
    for records in _chunks(run.records):
        yield ["steps", head.id, [_step(record, shared) for record in records]]
    for entries in _chunks(run.log.entries):
        yield ["log", head.id, [_entry(entry) for entry in entries]]


def _waits(history: History, run_id: str) -> Iterator[Operation]:
    timeout = history.waits.timeout_of(run_id)
    deadline = None if timeout is None else timeout.isoformat()
    tokens = [list(token) for token in history.waits.tokens_of(run_id)]
    for waits in _chunks(list(history.waits.of_run(run_id))):
        yield ["waits", run_id, deadline, [encode_wait(wait) for wait in waits], tokens]
        deadline, tokens = None, []


def _outbox(history: History) -> Iterator[Operation]:
    outbox = history.outbox
    if outbox.numbered:  # With followers or without: what is delivered later is named by these numbers.
        yield ["kept_told", outbox.numbered]
    for pipeline, state in outbox.followers():
        yield ["kept_follower", pipeline, encode_follower_state(state)]
        name = state.follower.name
        for pending in outbox.lanes(pipeline, name):
            for deliveries in _chunks(pending):
                each = [encode_delivery(delivery) for delivery in deliveries]
                yield ["kept_lane", pipeline, name, deliveries[0].lane, each]


def _step(record: Materialization, shared: set[int]) -> Any:
    return [record.asset, record.partition_key] if id(record) in shared else encode_materialization(record)


def _entry(entry: Entry) -> Any:
    if isinstance(entry, Materialization):
        return [entry.asset, entry.partition_key]
    return encode_event(event_of(entry))


def _chunks(items: list[T]) -> Iterator[list[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
