"""The file store's journal is a list of operations; this is how each is done again.

An operation is an array, its name first. It is what was *asked*, and `History` decides in the same way each
time what comes of it: what was refused when it was asked is refused again when it is replayed.

    ["run", run]                            create_run
    ["run", run, [run id, ...]]             callers.create, unless a run is under way that is not among these
    ["events", epoch, [event, ...]]         write, write_many
    ["claim", run id, owner, epoch]         claim
    ["invalidate", [[asset, key], ...], act]    invalidate; here and below the act, if it is to be noted
    ["add", set name, [key, ...], act]      add_partitions
    ["remove", set name, [key, ...], act]   remove_partitions
    ["prune", versions, runs]               prune
    ["answer", run id, asset, key, name, answer, now, status, by]   answer
    ["expire", now, [run id, ...] or null, how many]    expire
    ["items", run id, asset, key, epoch, [item, ...], IO manager or null]   items.record
    ["forget_items", run id, asset, key, up to]     items.forget; of all items without the last one
    ["pool", name, slots or null, act]      pools.set
    ["automations", {pipeline: [definition, ...]}, now]     automations.define; false at the end: not whole
    ["move", move]                          automations.move
    ["move", move, [run id, ...]]           likewise; these runs are not joined
    ["pause", pipeline, name, paused, [event, ...]]     automations.pause
    ["follow", pipeline, [follower, ...]]   deliveries.follow
    ["delivered", pipeline, name, [[lane, number], ...]]    deliveries.done
    ["delivery_failed", pipeline, name, lane, number, failure]      deliveries.failed; the failure may be missing
    ["given_up", pipeline, name, lane, number, event, tell] deliveries.give_up
    ["told", pipeline, [event, ...]]        deliveries.add
    ["token", digest, token]                tokens.add
    ["token_used", digest, at]              tokens.used
    ["token_revoked", name, at, by]         tokens.revoke
    ["session", digest, token's digest, expires at, now or null]   tokens.begin_session; null in a summary
    ["session_ended", digest, now]          tokens.end_session
    ["audit_pruned", keep]                  audit.prune

    ["closed"]                              close; so that a line that was last is missed when it is removed

Compaction replaces them by what is left of their effects, a summary that is true as a whole (see `snapshot`):

    ["timeline", asset, key, valid, [record, ...]]      what is known of one asset-partition, oldest first;
                                        in parts, where something of other partitions was recorded in between
    ["kept", run, number, arrival]                      a run, the number of the first event kept, and its place
    ["steps", run id, [record or [asset, key], ...]]    its records; a pair means the one in that timeline
    ["log", run id, [event or [asset, key], ...]]       its events; a pair means what the step's record says
    ["waits", run id, deadline or null, [wait, ...], [[asset, key, name, hash], ...]]
                                        what it waits for, when its timeout is over, and the tokens of signals
    ["kept_items", run id, asset, key, [item, ...], IO manager or null, unneeded]   what became of items of a step
    ["kept_automation", automation, [fire, ...], {key: run id}]     an automation, what it did, and keys of its runs
    ["kept_told", numbered]                             how many events of no run were numbered
    ["kept_follower", pipeline, state]                  who follows; in older journals that number comes last
    ["kept_lane", pipeline, name, lane, [[number, event, attempts], ...]]      what is not delivered
    ["kept_feed", count]                                how many events the feed has had
    ["kept_audit", count or null, [entry, ...]]         the audit log: with a count its beginning, else more of it
    ["summary"]                                         all of it has been read
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstone.store.audit_codec import decode_act, decode_entry
from flowstone.store.automation_codec import (
    decode_automation,
    decode_definition,
    decode_fire,
    decode_move,
)
from flowstone.store.codec import (
    Unreadable,
    decode_event,
    decode_failure,
    decode_item,
    decode_materialization,
    decode_run,
    decode_wait,
)
from flowstone.store.delivery_codec import decode_delivery, decode_follower, decode_follower_state
from flowstone.store.event_log import EventLog
from flowstone.store.history import History
from flowstone.store.items import UNKNOWN_IO
from flowstone.store.token_codec import decode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.runs.events import Event
    from flowstone.runs.records import Materialization
    from flowstone.runs.waits import WaitStatus
    from flowstone.store.run_log import RunLog

__all__ = ["Operation", "Replay"]

Operation: TypeAlias = list[Any]
"""A name and its arguments, JSON-able."""

_Command: TypeAlias = "Callable[[], object]"
_ALL: Final = 1 << 60


class Replay:
    """Operations, read back into a `History`.

    Attributes:
        history: The state so far.
        facts: How many events, records and commands were read; compaction drops the dead ones among them.
        restoring: Whether what was read last is a part of a summary whose end has not come.
        closed: Whether what was read last is that the store was closed.
    """

    def __init__(self) -> None:
        self.history = History()
        self.facts = 0
        self.restoring = False
        self.closed = False
        self._records: dict[tuple[str, str, str | None], Materialization] = {}

    def apply(self, operation: Any) -> None:
        """Do one operation again. Raises `Unreadable`."""
        if not isinstance(operation, list) or not operation or not isinstance(operation[0], str):
            raise Unreadable("damaged data (no operation)")
        name, *arguments = operation
        prepare = _PREPARE.get(name)
        if prepare is None:
            raise Unreadable(
                f"the unknown operation {name!r}: a newer FlowStone wrote it, so upgrade this one"
            )
        try:
            command = prepare(self, *arguments)
        except (TypeError, KeyError, RecursionError) as error:
            raise Unreadable(f"damaged data for the operation {name!r} ({error})") from error
        self.closed = name == "closed"
        self.restoring = name in _RESTORING or (self.restoring and name in _RESTORED_LIKEWISE)
        # An error now is the error that the caller got then; neither changed anything.
        with suppress(Exception):
            command()

    # Each of these reads the arguments of one operation and returns what is to be done.

    def _create(self, run: Any, but: list[str] | None = None) -> _Command:
        self.facts += 1
        return partial(self.history.create_run, decode_run(run), but)

    def _write(self, epoch: int, events: list[Any]) -> _Command:
        self.facts += len(events)
        return partial(self.history.write_many, [decode_event(event) for event in events], epoch)

    def _claim(self, run_id: str, owner: str, epoch: int) -> _Command:
        self.facts += 1
        return partial(self.history.claim, run_id, owner, epoch)

    def _invalidate(self, keys: list[Any], act: Any = None) -> _Command:
        self.facts += 1
        return partial(self.history.invalidate, [(asset, key) for asset, key in keys], decode_act(act))

    def _add(self, name: str, keys: list[str], act: Any = None) -> _Command:
        self.facts += 1
        return partial(self.history.add_partitions, name, keys, decode_act(act))

    def _remove(self, name: str, keys: list[str], act: Any = None) -> _Command:
        self.facts += 1
        return partial(self.history.remove_partitions, name, keys, decode_act(act))

    def _prune(self, versions: int, runs: int) -> _Command:
        self.facts += 1
        return partial(self.history.prune, versions, runs)

    def _answer(
        self,
        run_id: str,
        asset: str,
        key: str | None,
        name: str,
        answer: Any,
        now: str,
        status: WaitStatus = "answered",
        by: str | None = None,
    ) -> _Command:
        self.facts += 1
        at = datetime.fromisoformat(now)
        return partial(self.history.answer, run_id, (asset, key), name, answer, at, status, by)

    def _expire(self, now: str, runs: list[str] | None, limit: int = _ALL) -> _Command:
        self.facts += 1
        return partial(self.history.expire, datetime.fromisoformat(now), runs, limit)

    def _items(
        self,
        run_id: str,
        asset: str,
        key: str | None,
        epoch: int,
        rows: list[Any],
        io: str | None = UNKNOWN_IO,
    ) -> _Command:
        self.facts += len(rows)
        decoded = [decode_item(row) for row in rows]
        return partial(self.history.record_items, run_id, (asset, key), epoch, decoded, io)

    def _forget_items(self, run_id: str, asset: str, key: str | None, up_to: int | None = None) -> _Command:
        self.facts += 1
        return partial(self.history.forget_items, run_id, (asset, key), up_to)

    def _set_pool(self, name: str, slots: int | None, act: Any = None) -> _Command:
        self.facts += 1
        return partial(self.history.set_pool, name, slots, decode_act(act))

    def _add_token(self, digest: str, token: Any) -> _Command:
        self.facts += 1
        return partial(self.history.tokens.add, decode_token(token), digest)

    def _use_token(self, digest: str, at: str) -> _Command:
        self.facts += 1
        return partial(self.history.tokens.used, digest, datetime.fromisoformat(at))

    def _revoke_token(self, name: str, at: str, by: str | None = None) -> _Command:
        self.facts += 1
        return partial(self.history.tokens.revoke, name, datetime.fromisoformat(at), by)

    def _begin_session(self, digest: str, token: str, expires_at: str, now: str | None) -> _Command:
        self.facts += 1
        over = datetime.fromisoformat(expires_at)
        at = None if now is None else datetime.fromisoformat(now)
        return partial(self.history.tokens.begin_session, digest, token, over, at)

    def _end_session(self, digest: str, now: str | None = None) -> _Command:
        self.facts += 1
        at = None if now is None else datetime.fromisoformat(now)
        return partial(self.history.tokens.end_session, digest, at)

    def _define_automations(self, defined: dict[str, list[Any]], now: str, whole: bool = True) -> _Command:
        self.facts += 1
        decoded = {
            pipeline: [decode_definition(each) for each in definitions]
            for pipeline, definitions in defined.items()
        }
        return partial(self.history.define_automations, decoded, datetime.fromisoformat(now), whole)

    def _move(self, move: Any, but: list[str] | None = None) -> _Command:
        self.facts += 1
        return partial(self.history.move, decode_move(move), but or ())

    def _pause(self, pipeline: str, name: str, paused: bool, events: list[Any]) -> _Command:
        self.facts += 1
        decoded: list[Any] = [decode_event(each) for each in events]
        return partial(self.history.pause, (pipeline, name), paused, decoded)

    def _restore_automation(self, record: Any, fires: list[Any], once: dict[str, str]) -> _Command:
        self.facts += 1 + len(fires) + len(once)
        decoded = [decode_fire(each) for each in fires]
        return partial(self.history.automations.restore, decode_automation(record), decoded, once)

    def _follow(self, pipeline: str, followers: list[Any]) -> _Command:
        self.facts += 1
        return partial(self.history.follow, pipeline, [decode_follower(each) for each in followers])

    def _delivered(self, pipeline: str, name: str, keys: list[Any]) -> _Command:
        self.facts += len(keys)
        return partial(self.history.outbox.done, pipeline, name, [(lane, number) for lane, number in keys])

    def _delivery_failed(
        self, pipeline: str, name: str, lane: str, number: int, failure: Any = None
    ) -> _Command:
        self.facts += 1
        why = None if failure is None else decode_failure(failure)
        return partial(self.history.outbox.failed, pipeline, name, (lane, number), why)

    def _given_up(
        self, pipeline: str, name: str, lane: str, number: int, failed: Any, tell: bool
    ) -> _Command:
        self.facts += 1
        event: Any = decode_event(failed)
        return partial(self.history.outbox.give_up, pipeline, name, (lane, number), event, tell=tell)

    def _add_deliveries(self, pipeline: str, events: list[Any]) -> _Command:
        self.facts += len(events)
        decoded: list[Any] = [decode_event(event) for event in events]
        return partial(self.history.outbox.add, pipeline, decoded)

    def _restore_numbered(self, numbered: int) -> _Command:
        return partial(self.history.outbox.restore_numbered, int(numbered))

    def _restore_follower(self, pipeline: str, state: list[Any], numbered: int = 0) -> _Command:
        self.facts += 1
        return partial(self.history.outbox.restore, pipeline, decode_follower_state(state), numbered)

    def _restore_lane(self, pipeline: str, name: str, lane: str, deliveries: list[Any]) -> _Command:
        self.facts += len(deliveries)
        decoded = [decode_delivery(lane, each) for each in deliveries]
        return partial(self.history.outbox.restore_lane, pipeline, name, decoded)

    def _prune_audit(self, keep: int) -> _Command:
        self.facts += 1
        return partial(self.history.audit.prune, keep)

    def _restore_audit(self, count: int | None, entries: list[Any]) -> _Command:
        self.facts += len(entries)
        return partial(self.history.audit.restore, count, [decode_entry(each) for each in entries])

    def _restore_feed(self, count: int) -> _Command:
        return partial(self.history.feed.restore, int(count))

    def _restore_items(
        self,
        run_id: str,
        asset: str,
        key: str | None,
        rows: list[Any],
        io: str | None = UNKNOWN_IO,
        unneeded: bool = False,
    ) -> _Command:
        self.facts += len(rows)
        decoded = [decode_item(row) for row in rows]
        return partial(self.history.restore_items, run_id, (asset, key), decoded, io, unneeded=unneeded)

    def _restore_timeline(self, asset: str, key: str | None, valid: bool, records: list[Any]) -> _Command:
        self.facts += len(records)
        decoded = [decode_materialization(data) for data in records]
        self._records.update({(record.run_id, asset, key): record for record in decoded})
        return partial(self.history.ledger.restore, (asset, key), decoded, valid)

    def _restore_run(self, run: Any, number: int, arrival: int = 0) -> _Command:
        self.facts += 1
        return partial(self.history.restore_run, decode_run(run), EventLog(first=number), arrival)

    def _restore_steps(self, run_id: str, steps: list[Any]) -> _Command:
        return partial(self._run(run_id).restore, [self._step(run_id, step) for step in steps])

    def _restore_log(self, run_id: str, entries: list[Any]) -> _Command:
        self.facts += len(entries)
        run = self._run(run_id)
        return partial(run.restore_log, [self._entry(run, entry) for entry in entries])

    def _restore_waits(
        self, run_id: str, deadline: str | None, waits: list[Any], tokens: list[Any] | None = None
    ) -> _Command:
        self.facts += len(waits)
        timeout = None if deadline is None else datetime.fromisoformat(deadline)
        given = [(asset, key, name, hashed) for asset, key, name, hashed in tokens or ()]
        return partial(
            self.history.restore_waits, run_id, [decode_wait(data) for data in waits], timeout, given
        )

    def _mark(self) -> _Command:
        return _nothing

    def _step(self, run_id: str, step: Any) -> Materialization:
        if isinstance(step, dict):
            return decode_materialization(step)
        asset, key = step
        return self._records[run_id, asset, key]

    def _entry(self, run: RunLog, entry: Any) -> Event | Materialization:
        if isinstance(entry, dict):
            return decode_event(entry)
        asset, key = entry
        record = run.step((asset, key))
        if record is None:
            raise Unreadable(f"an event of {asset} without the record it refers to")
        return record

    def _run(self, run_id: str) -> RunLog:
        run = self.history.find(run_id)
        if run is None:
            raise Unreadable(f"a part of run {run_id} without its beginning")
        return run


def _nothing() -> None:
    """What a mark changes."""


_RESTORED_LIKEWISE: Final = frozenset({"add", "pool", "token", "session"})
"""What a summary says by the operation that a change is as well."""
_RESTORING: Final = frozenset(
    {
        "timeline",
        "kept",
        "steps",
        "log",
        "waits",
        "kept_items",
        "kept_automation",
        "kept_told",
        "kept_follower",
        "kept_lane",
        "kept_feed",
        "kept_audit",
    }
)
_PREPARE: Final[Mapping[str, Callable[..., _Command]]] = MappingProxyType(
    {
        "events": Replay._write,
        "run": Replay._create,
        "claim": Replay._claim,
        "invalidate": Replay._invalidate,
        "add": Replay._add,
        "remove": Replay._remove,
        "prune": Replay._prune,
        "answer": Replay._answer,
        "expire": Replay._expire,
        "items": Replay._items,
        "forget_items": Replay._forget_items,
        "pool": Replay._set_pool,
        "token": Replay._add_token,
        "token_used": Replay._use_token,
        "token_revoked": Replay._revoke_token,
        "session": Replay._begin_session,
        "session_ended": Replay._end_session,
        "automations": Replay._define_automations,
        "move": Replay._move,
        "pause": Replay._pause,
        "kept_automation": Replay._restore_automation,
        "follow": Replay._follow,
        "delivered": Replay._delivered,
        "delivery_failed": Replay._delivery_failed,
        "given_up": Replay._given_up,
        "told": Replay._add_deliveries,
        "kept_items": Replay._restore_items,
        "kept_told": Replay._restore_numbered,
        "kept_follower": Replay._restore_follower,
        "kept_lane": Replay._restore_lane,
        "kept_feed": Replay._restore_feed,
        "audit_pruned": Replay._prune_audit,
        "kept_audit": Replay._restore_audit,
        "timeline": Replay._restore_timeline,
        "kept": Replay._restore_run,
        "steps": Replay._restore_steps,
        "log": Replay._restore_log,
        "waits": Replay._restore_waits,
        "summary": Replay._mark,
        "closed": Replay._mark,
    }
)
