"""Whether the newest value of an asset is as new as it is to be: functions over what is on record, not a process.

What is on record of an asset is what its age is counted from, and what was announced of it. Only a success makes it
younger. So a clock that is set back takes nothing back that was announced, and one that is set on announces early.

Age is a question of people's clocks, and the only one here that is: by which the success was finished, and by which
it is looked at. What is finished in the future is as old as it can be: it was finished just now. Whoever looks
passes the age, so that a process may count it by a clock that nobody sets.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Aged",
    "FreshnessName",
    "FreshnessRecord",
    "FreshnessStatus",
    "NewestSuccess",
    "aged",
    "known_too",
    "least_age",
    "longest_late",
    "never_seen",
    "next_bound",
    "not_of_the_future",
    "of_one_value",
    "renewed",
    "shown",
]

FreshnessName: TypeAlias = Literal["fresh", "late", "overdue", "unknown"]

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_DEGREE: Final = {"unknown": 0, "fresh": 0, "late": 1, "overdue": 2}


@frozen
class FreshnessStatus:
    """How fresh the newest value of an asset is, or that of one partition.

    Attributes:
        asset: The asset's name.
        partition: The partition that was asked about; None: the asset as a whole.
        status: `fresh`; `late`: older than it is to be; `overdue`: so old that somebody should see to it; or
            `unknown`: there is no value, and it is not late yet.
        since: When that began (aware, UTC); None if it is not known.
        within: Seconds after which it is late.
        overdue: Seconds after which it is overdue.
        materialized_at: When the newest value was computed (aware, UTC), also if it was invalidated since; None:
            there never was one.
    """

    asset: str
    partition: Any
    status: FreshnessName
    since: datetime | None
    within: float
    overdue: float
    materialized_at: datetime | None = None


@frozen
class NewestSuccess:
    """The success of an asset that was recorded last, at whatever partition.

    Attributes:
        asset: The asset's name.
        run_id: The run that recorded it.
        finished_at: When it was finished (aware, UTC).
        valid: Whether its value is current; it was invalidated otherwise.
    """

    asset: str
    run_id: str
    finished_at: datetime
    valid: bool = True


@frozen
class FreshnessRecord:
    """What is on record of the freshness of an asset.

    Attributes:
        within: Seconds after which it is late.
        overdue: Seconds after which it is overdue.
        begins: What its age is counted from: when the newest success was finished, or when the policy was first
            seen, if there never was a success.
        status: What was announced; `unknown` and `fresh` are not at first.
        finished_at: When the newest success was finished, as it was said; None: there never was one.
        run_id: The run of that success, or empty.
        is_renewed: Whether there was a success since `status` was announced, by which it is to be judged anew.
    """

    within: float
    overdue: float
    begins: datetime
    status: FreshnessName = "unknown"
    finished_at: datetime | None = None
    run_id: str = ""
    is_renewed: bool = False

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> FreshnessRecord:
        """From JSON."""
        finished_at = data.get("finished_at")
        return cls(
            data["within"],
            data["overdue"],
            datetime.fromisoformat(data["begins"]),
            data.get("status", "unknown"),
            None if finished_at is None else datetime.fromisoformat(finished_at),
            data.get("run_id", ""),
            data.get("is_renewed", False),
        )

    def written(self) -> dict[str, Any]:
        """As JSON has it."""
        written: dict[str, Any] = {
            "within": self.within,
            "overdue": self.overdue,
            "begins": self.begins.isoformat(),
        }
        if self.status != "unknown":
            written["status"] = self.status
        if self.finished_at is not None:
            written |= {"finished_at": self.finished_at.isoformat(), "run_id": self.run_id}
        if self.is_renewed:
            written["is_renewed"] = True
        return written

    @property
    def materialized_at(self) -> datetime | None:
        """When the newest success was finished, by the clock of whoever has seen it."""
        return None if self.finished_at is None else self.begins

    def since(self, status: FreshnessName) -> datetime:
        """When a status began, or begins."""
        after = {"late": self.within, "overdue": self.overdue}.get(status, 0.0)
        return self.begins + timedelta(seconds=after)


class Aged(NamedTuple):
    """What an age leads to.

    Attributes:
        record: What is on record then.
        news: What is to be announced, in order.
    """

    record: FreshnessRecord
    news: tuple[FreshnessName, ...]


def least_age(record: FreshnessRecord) -> float:
    """Seconds that it is old at least, by what was announced of it; 0.0 if that says nothing."""
    if record.is_renewed:
        return 0.0
    return {"late": record.within, "overdue": record.overdue}.get(record.status, 0.0)


def renewed(record: FreshnessRecord, success: NewestSuccess, now: datetime, age: float) -> FreshnessRecord:
    """What is on record after a success that was not taken into account before.

    Args:
        record: What was on record.
        success: The success.
        now: The instant (aware, UTC).
        age: How old the asset is so far, in seconds; see `least_age`.
    """
    finished = min(success.finished_at, now)
    if record.finished_at is None:
        return replace(
            record,
            begins=finished,
            finished_at=success.finished_at,
            run_id=success.run_id,
            is_renewed=True,
        )
    if _names(record, success) or (now - finished).total_seconds() > age:
        return record  # It is the same, or an earlier one that was heard of later.
    newest = max(success.finished_at, record.finished_at)
    run_id = success.run_id if newest == success.finished_at else record.run_id
    return replace(record, begins=finished, finished_at=newest, run_id=run_id, is_renewed=True)


def not_of_the_future(record: FreshnessRecord, now: datetime) -> FreshnessRecord:
    """What is on record, but that its age is counted from now at the latest: a clock was set back since."""
    return replace(record, begins=now) if record.begins > now and not least_age(record) else record


def known_too(record: FreshnessRecord, success: NewestSuccess) -> bool:
    """Whether what a store has as newest was taken into account, as far as the instant of its end tells."""
    return record.finished_at is not None and success.finished_at <= record.finished_at


def aged(record: FreshnessRecord, age: float) -> Aged:
    """What follows from an age, in seconds."""
    by_age = _by_age(record, age)
    before, after = _DEGREE[record.status], _DEGREE[by_age]
    news: tuple[FreshnessName, ...] = ()
    if after > before:
        steps: tuple[FreshnessName, ...] = ("late", "overdue")
        news = steps[before:after]
    elif after < before and record.is_renewed:
        news = (by_age,)
    elif after < before:
        by_age = record.status  # A clock was set back: that makes nothing younger.
    if by_age == record.status and not record.is_renewed:
        return Aged(record, ())
    return Aged(replace(record, status=by_age, is_renewed=False), news)


def next_bound(record: FreshnessRecord) -> float | None:
    """The age in seconds at which there is more to be announced; None: there is nothing."""
    return (record.within, record.overdue, None)[_DEGREE[record.status]]


def shown(
    asset: str, record: FreshnessRecord, newest: NewestSuccess | None, now: datetime
) -> FreshnessStatus:
    """What people see of an asset that is watched.

    Args:
        asset: The asset's name.
        record: What is on record.
        newest: What the store has as the newest success, or None.
        now: The instant (aware, UTC).
    """
    age = max((now - record.begins).total_seconds(), least_age(record))
    if newest is not None and not known_too(record, newest):
        record = renewed(record, newest, now, age)
        age = max((now - record.begins).total_seconds(), least_age(record))
    status = aged(record, age).record.status
    since: datetime | None = record.since(status)
    if status == "fresh" and newest is not None and not newest.valid:
        status, since = "unknown", None
    return FreshnessStatus(asset, None, status, since, record.within, record.overdue, record.materialized_at)


def never_seen(
    asset: str, bounds: tuple[float, float], newest: NewestSuccess | None, now: datetime
) -> FreshnessStatus:
    """What people see of an asset that nobody has ever watched: without a value it is not late.

    Args:
        asset: The asset's name.
        bounds: Seconds after which it is late, and overdue.
        newest: What the store has as the newest success, or None.
        now: The instant (aware, UTC).
    """
    if newest is None:
        return FreshnessStatus(asset, None, "unknown", None, *bounds)
    return shown(asset, FreshnessRecord(*bounds, now), newest, now)


def of_one_value(
    asset: str, partition: Any, bounds: tuple[float, float], finished_at: datetime | None, now: datetime
) -> FreshnessStatus:
    """What people see of one partition: how old its current value is, finished at an instant; None: it has none."""
    newest = None if finished_at is None else NewestSuccess(asset, "", finished_at)
    return replace(never_seen(asset, bounds, newest, now), partition=partition)


def longest_late(statuses: Iterable[FreshnessStatus]) -> list[FreshnessStatus]:
    """Those that are late or overdue: the overdue ones first, and of these who has been so for longest."""
    late = [status for status in statuses if _DEGREE[status.status]]
    return sorted(late, key=lambda each: (-_DEGREE[each.status], each.since or _NEVER, each.asset))


def _by_age(record: FreshnessRecord, age: float) -> FreshnessName:
    if age >= record.overdue:
        return "overdue"
    if age >= record.within:
        return "late"
    return "unknown" if record.finished_at is None else "fresh"


def _names(record: FreshnessRecord, success: NewestSuccess) -> bool:
    return (record.finished_at, record.run_id) == (success.finished_at, success.run_id)
