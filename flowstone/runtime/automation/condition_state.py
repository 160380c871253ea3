"""What is known of the condition of one asset, and how it is written down.

The record's cursor says up to which instant ticks and new partitions were dealt with, and for which version of the
code all partitions have been looked at. What is pending is, by partition:

    under_way   a run was asked for, and is not over; several partitions may share one
    again       something happened meanwhile: look once more when it is over
    tried       a run ended without a success: nothing is tried again for the same inputs
    waiting     the condition holds, or held, and something has to be over first, or a tick has to come

All of it is small: it goes when a run ends, and so is bounded by what is under way or has failed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.assets.partition_keys import encode_partition
from flowstone.frozen import frozen
from flowstone.runs.automation import subject_of
from flowstone.store.cluster import Notification

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.automation.asset_condition import Condition
    from flowstone.assets.automation.condition import Automation
    from flowstone.assets.automation.cron import Cron
    from flowstone.runs.automation import AutomationRecord

__all__ = ["AssetState", "Key", "Wait", "encoded", "written_cron"]

Key: TypeAlias = "str | None"
"""An encoded partition key."""


@frozen
class Wait:
    """Why a partition waits.

    Attributes:
        ticks: Ticks, as text, that had come when its condition held.
        run: A run that computes it as well, by whatever it was asked for; or empty.
    """

    ticks: tuple[str, ...] = ()
    run: str = ""


class AssetState:
    """The condition of one asset.

    Attributes:
        condition: What it is.
        version: The version of the asset's code, or empty.
        record: Its record, as it was read or changed last.
        at: The instant up to which ticks and new partitions were dealt with.
        scanned: The version of the code for which all partitions were looked at; None: they were not.
        under_way: The partitions of each run that it asked for and that is not over.
        run_of: The run of each partition that has one.
        again: See above.
        saw: What the inputs of a partition were when its run was asked for.
        tried: See above; what its inputs were then.
        waiting: See above.
        changed: Whether there is something that is not written down.
        works: Whether a function of it that had failed has answered since.
    """

    def __init__(self, condition: Condition, record: AutomationRecord, version: str) -> None:
        self.condition = condition
        self.version = version
        self.under_way: dict[str, tuple[Key, ...]] = {}
        self.run_of: dict[Key, str] = {}
        self.again: dict[Key, None] = {}
        self.saw: dict[Key, str] = {}
        self.tried: dict[Key, str] = {}
        self.waiting: dict[Key, Wait] = {}
        self.changed = False
        self.works = False
        self.record = record
        cursor = record.cursor or {}
        self.at: datetime = datetime.fromisoformat(cursor["at"]) if "at" in cursor else record.since
        self.scanned: str | None = cursor.get("scanned")
        self._read(record.pending)

    @property
    def name(self) -> str:
        """The asset's name."""
        return self.condition.name

    @property
    def automation(self) -> Automation:
        """When it is computed."""
        return self.condition.automation

    @property
    def is_unscanned(self) -> bool:
        """Whether all partitions have to be looked at once: it is new, or the code has changed."""
        looks_at = self.automation.states
        if self.scanned is None:
            return not looks_at.isdisjoint({"missing", "code"})
        return self.scanned != self.version and "code" in looks_at

    @property
    def active(self) -> bool:
        """Whether it may start anything."""
        return not self.record.paused and self.record.gone_at is None

    # What happens -------------------------------------------------------------------------------------------

    def begin_run(self, run_id: str, saw: Mapping[Key, str], *, joined: bool = False) -> None:
        """A run was asked for, for partitions whose inputs are these."""
        self.under_way[run_id] = tuple(saw)
        for key, inputs in saw.items():
            self.run_of[key] = run_id
            self.saw[key] = inputs
            self.tried.pop(key, None)
            self.waiting.pop(key, None)
            if joined:
                self.look_again(key)
        self.changed = True

    def withdraw_run(self, run_id: str) -> None:
        """A run that was asked for was not started."""
        for key in self.under_way.pop(run_id, ()):
            if self.run_of.get(key) == run_id:
                del self.run_of[key]
                self.saw.pop(key, None)
                self.again.pop(key, None)
        self.changed = True

    def rename(self, asked: str, joined: str) -> None:
        """Instead of a run that was asked for another one was joined, which may have begun before."""
        keys = self.under_way.pop(asked)
        saw = {key: self.saw[key] for key in keys}
        self.begin_run(joined, saw, joined=True)

    def end_run(self, run_id: str, *, succeeded: bool) -> list[Key]:
        """A run is over; the partitions that have to be looked at once more."""
        keys = self.under_way.pop(run_id, ())
        found = []
        for key in keys:
            if self.run_of.get(key) != run_id:
                continue
            del self.run_of[key]
            inputs = self.saw.pop(key, "")
            if not succeeded:
                self.tried[key] = inputs
            if key in self.again:
                del self.again[key]
                found.append(key)
            self.changed = True
        return found

    def look_again(self, key: Key) -> None:
        """Something happened while a run of this partition is under way."""
        if key not in self.again:
            self.again[key] = None
            self.changed = True

    def wait(self, key: Key, wait: Wait) -> None:
        """A partition waits."""
        if self.waiting.get(key) != wait:
            self.waiting[key] = wait
            self.changed = True

    def settle(self, key: Key) -> None:
        """Nothing is to be done about a partition: it waits no longer."""
        if self.waiting.pop(key, None) is not None:
            self.changed = True

    def succeed(self, key: Key) -> None:
        """A partition has all that was wanted of it."""
        if self.tried.pop(key, None) is not None:
            self.changed = True

    def forget(self, key: Key) -> None:
        """There is no such partition any more."""
        self.settle(key)
        self.succeed(key)

    def moved(self, record: AutomationRecord) -> None:
        """All of this is written down."""
        self.record = record
        self.changed = False
        self.works = False

    def answered(self) -> None:
        """A function of it has given an answer: if it had failed before, that is over."""
        if self.record.failures and not self.works:
            self.works = self.changed = True

    @property
    def notification(self) -> Notification:
        """By which it is said that its record has changed."""
        return Notification("automation", subject_of(self.record.key))

    def ticks_of(self, texts: Iterable[str]) -> frozenset[Cron]:
        """The cron expressions of its condition that were written as these."""
        wanted = set(texts)
        return frozenset(cron for cron in self.automation.crons if written_cron(cron) in wanted)

    # JSON ---------------------------------------------------------------------------------------------------

    def cursor(self) -> dict[str, Any]:
        """The cursor, as JSON has it."""
        return {"at": self.at.isoformat()} | ({} if self.scanned is None else {"scanned": self.scanned})

    def pending(self) -> tuple[Any, ...]:
        """What is pending, as JSON has it."""
        return (
            *(["run", run, [[key, self.saw[key]] for key in keys]] for run, keys in self.under_way.items()),
            *(["again", key] for key in self.again),
            *(["tried", key, inputs] for key, inputs in self.tried.items()),
            *(["wait", key, list(wait.ticks), wait.run] for key, wait in self.waiting.items()),
        )

    def _read(self, pending: Iterable[Any]) -> None:
        for kind, first, *rest in pending:
            match kind:
                case "run":
                    self.begin_run(first, dict(rest[0]))
                case "again":
                    self.again[first] = None
                case "tried":
                    self.tried[first] = rest[0]
                case _:
                    self.waiting[first] = Wait(tuple(rest[0]), rest[1])
        self.changed = False


def written_cron(cron: Cron) -> str:
    """A cron expression in its zone, as text."""
    return f"{cron.text} {cron.timezone}"


def encoded(key: Any) -> Key:
    """A partition key as text, or None."""
    return None if key is None else encode_partition(key)
