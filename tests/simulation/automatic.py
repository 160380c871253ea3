"""What must be true of what the automations of a world do: each thing once, and each told in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta

from flowstone.runs.automation_events import AssetFresh, AssetLate, AssetOverdue

__all__ = ["Automatic"]

UPSTREAM, FOLLOWED = ("start", None), ("followed", None)
MINUTELY, NUMBERS = ("world", "minutely"), ("world", "numbers")
WITHOUT_GAPS = frozenset({"clock"})
"""Faults after which a minute of the wall clock may never have been, or not be over."""

NEXT = {
    AssetFresh.kind: {AssetLate.kind},
    AssetLate.kind: {AssetFresh.kind, AssetOverdue.kind},
    AssetOverdue.kind: {
        AssetFresh.kind,
        AssetLate.kind,
    },  # Late by another value, which was heard of too late.
}
"""What an asset may be told to be next."""


class Automatic:
    """What was done by itself, as the database saw it and as the listener was told of it.

    Args:
        violated: Called with what is not as it must be.
    """

    def __init__(self, violated):
        self._violated = violated
        self._ticks = set()
        self._found = set()
        self._states = {}
        self._heard = defaultdict(dict)  # By run: what the listener was told, each thing once, in order.
        self.counts = Counter()

    def moved(self, move, moved):
        """An automation has made a change."""
        self._look_at_tick(move, moved)
        for new, run in zip(move.runs, moved.runs, strict=True):
            if new.once is not None and run is not None:
                if (move.key, new.once) in self._found:
                    self._violated(f"{move.key} has started what it found twice: {new.once}")
                self._found.add((move.key, new.once))
        for event in move.events:
            self._look_at_change(event)

    def _look_at_tick(self, move, moved):
        tick = None if move.fire is None else move.fire.scheduled_at
        if tick is None:
            return
        if (move.key, tick) in self._ticks:
            self._violated(f"{move.key} has fired twice for {tick}")
        self._ticks.add((move.key, tick))
        self.counts[f"tick {move.fire.status}"] += 1
        if move.fire.status == "started" and len([run for run in moved.runs if run is not None]) != 1:
            self._violated(f"{move.key} has started {moved.runs} at {tick}")

    def _look_at_change(self, event):
        if not isinstance(event, (AssetLate, AssetOverdue, AssetFresh)):
            return
        self.counts[event.kind] += 1
        before = self._states.get(event.asset, AssetFresh.kind)
        if event.kind not in NEXT[before]:
            self._violated(f"{event.asset} was told to be {event.kind} when it was {before}")
        self._states[event.asset] = event.kind

    def heard(self, event):
        """The listener has been told of this, and has taken it."""
        self._heard[event.run_id].setdefault((event.exact_kind, event.at))

    def left(self, world):
        """What there is still to come, and what is not in order: what it is, and the list of it."""
        history = world.shared.history
        known = {key for key, _ in self._found if key == NUMBERS}
        numbers = range(1, world.arrived + 1) if known or world.arrived else ()
        yield "the sensor has not found", [n for n in numbers if (NUMBERS, str(n)) not in self._found]
        yield (
            "the listener was not told, or not in order",
            [
                f"{log.id}: {told} instead of {recorded}"
                for log in history._order
                if log.finished
                if (told := [kind for kind, _ in self._heard[log.id]]) != (recorded := _recorded(log))
            ],
        )
        yield (
            "the condition does not hold, but its asset is not as new as what is upstream",
            _outdated(history),
        )
        schedule = history.automations.get(MINUTELY)
        if schedule is not None and not WITHOUT_GAPS & set(world.faults.kinds):
            ticks = _minutes(schedule.since, world.shared.now())
            yield "the schedule missed", [tick for tick in ticks if (MINUTELY, tick) not in self._ticks]


def _outdated(history):
    """What the asset that follows another one was computed from, if that is something else by now."""
    current = history.ledger.current([UPSTREAM, FOLLOWED])
    upstream, followed = current.get(UPSTREAM), current.get(FOLLOWED)
    if upstream is None:
        return []
    if followed is None:
        return ["it has no value"]
    (taken,) = followed.inputs
    is_same = taken.run_id == upstream.run_id or taken.data_version == upstream.data_version
    return [] if is_same else [f"{taken} instead of {upstream.run_id}"]


def _recorded(log):
    """The kinds of the events of a run as such, in order."""
    kinds = (event.exact_kind for _, event in log.log.page(0, 1_000_000))
    return [kind for kind in kinds if kind.startswith("run.")]


def _minutes(after, until):
    """The full minutes after an instant."""
    tick = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while tick <= until:
        yield tick
        tick += timedelta(minutes=1)
