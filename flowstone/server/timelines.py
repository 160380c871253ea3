"""The attempts of runs that somebody looks at, as what a drawing needs: bars in lanes, and those that have changed.

All who look at a run share one reading of it, and get the same text. A run is read once, and then only what has
changed in it. The first answer has a bounded number of bars, whatever the run: attempts that would be narrower than
a pixel are one bar with their neighbours of the same lane and status, and whoever looks closer asks for a part.

Map of this file
    Timelines       the runs that were looked at last, with their logs
    RunBars         one run: what is read becomes bars (`refresh`), and bars become text (`whole`, `changes`)
    _Lanes          where a bar is put
    _merged         many bars as few
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import Counter, OrderedDict
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from flowstone.assets.partition_labels import step_label
from flowstone.runs.records import Status
from flowstone.server.log_rows import read_log
from flowstone.server.render import ICONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.runs.records import Failure, RunRecord
    from flowstone.runs.running_step import RunningStep
    from flowstone.runtime.client.timeline import Timeline, TimelineAttempt
    from flowstone.runtime.runtime import Runtime
    from flowstone.server.log_rows import LogWanted

__all__ = ["MOST_BARS", "By", "RunBars", "Timelines"]

MOST_BARS: Final = 6_000
"""Bars of one answer."""

_PIXELS: Final = 2_000
_MOST_CHANGES: Final = 20_000
_MOST_FAILURES: Final = 1_000
_KEPT: Final = 8
_FRESH: Final = 0.08  # Seconds for which a reading serves all who ask.
_NODES: Final = 0.5
_LOGS: Final = 64
_OPEN: Final = -1  # The length of a bar whose attempt has not ended.
_NOWHERE: Final = -1  # The node of what none ran.
_ENOUGH: Final = 3  # So many steps tell how fast a run is.

_ASSET, _LABEL, _ATTEMPT, _SHAPE, _START, _LENGTH, _LANE, _WAIT, _COUNT, _NODE, _NODE_LANE = range(11)
"""The places in a bar; times are milliseconds since the run began.

A bar has a lane among those of its asset, and one among those of its node; what no node ran has none of these.
"""

Bar = list[Any]

By: TypeAlias = Literal["asset", "node"]
"""What a band is of."""


class _Lanes:
    """Which lanes of an asset, or of a node, are taken."""

    def __init__(self) -> None:
        self.number = 0
        self._free: list[int] = []
        self._ends: list[tuple[int, int]] = []

    def take(self, at: int) -> int:
        """The first one that is free at an instant."""
        while self._ends and self._ends[0][0] <= at:
            heapq.heappush(self._free, heapq.heappop(self._ends)[1])
        if self._free:
            return heapq.heappop(self._free)
        self.number += 1
        return self.number - 1

    def give_back(self, lane: int, at: int) -> None:
        """It is free again from an instant on."""
        heapq.heappush(self._ends, (at, lane))


class RunBars:
    """The bars of one run.

    Attributes:
        version: Grows with each reading that brought a change.
        read_at: When it was read last, by the loop's clock.
    """

    def __init__(self, run_id: str) -> None:
        self.version = 0
        self.read_at = float("-inf")
        self.lock = asyncio.Lock()
        self._run_id = run_id
        self._position = 0
        self._run: RunRecord | None = None
        self._origin = datetime.now(UTC)
        self._texts: OrderedDict[tuple[Any, ...], str] = OrderedDict()
        self._forget()

    def _forget(self) -> None:
        self._names: dict[str, int] = {}
        self._totals: list[int] = []
        self._done: list[Counter[str]] = []
        self._lanes: list[_Lanes] = []
        self._nodes: dict[str | None, int] = {}
        self._node_lanes: list[_Lanes] = []
        self._node_attempts: list[int] = []
        self._bars: list[Bar] = []
        self._open: dict[tuple[str, str | None, int], int] = {}
        self._changes: list[tuple[int, int]] = []
        self._oldest = self.version + 1  # Changes before this version are not known any more.
        self._failures: OrderedDict[tuple[str, str | None, int], Failure] = OrderedDict()
        self._lengths: list[int] = []

    async def refresh(self, runtime: Runtime) -> None:
        """Read what has changed, unless that was done just now. Raises `RunNotFound`."""
        async with self.lock:
            now = asyncio.get_running_loop().time()
            if now - self.read_at < _FRESH:
                return
            timeline = await runtime.timeline(self._run_id, after=self._position)
            self.read_at = asyncio.get_running_loop().time()
            before, self._run = self._run, timeline.run
            if timeline.attempts or timeline.whole or before is None or before.status != timeline.run.status:
                self._take(timeline)

    def failure(self, asset: str, key: str | None, attempt: int) -> Failure | None:
        """Why an attempt failed, if that is known."""
        return self._failures.get((asset, key, attempt))

    def attempts_of(self, asset: str, key: str | None) -> Sequence[tuple[int, str]]:
        """The attempts of a step with their shapes, in order."""
        place, label = self._names.get(asset), step_label(asset, key)
        found = {
            bar[_ATTEMPT]: bar[_SHAPE]
            for bar in self._bars
            if bar[_ASSET] == place and bar[_LABEL] == label and bar[_ATTEMPT]
        }
        return sorted(found.items())

    # Reading ------------------------------------------------------------------------------------------------

    def _take(self, timeline: Timeline) -> None:
        self.version += 1
        self._texts.clear()
        attempts: Iterable[TimelineAttempt] = timeline.attempts
        if timeline.whole:
            self._forget()
            self._origin = timeline.run.started_at or timeline.run.created_at
            for asset, total in timeline.totals.items():
                self._asset(asset, total)
            attempts = sorted(attempts, key=lambda each: each.started_at or each.finished_at or self._origin)
        self._position = timeline.position
        for attempt in attempts:
            self._add(attempt)
        surplus = len(self._changes) - _MOST_CHANGES
        if surplus > 0:
            self._oldest = self._changes[surplus - 1][0] + 1
            del self._changes[:surplus]

    def _asset(self, name: str, total: int = 0) -> int:
        if name not in self._names:
            self._names[name] = len(self._names)
            self._totals.append(total)
            self._done.append(Counter())
            self._lanes.append(_Lanes())
        return self._names[name]

    def _node(self, name: str | None) -> int:
        if name not in self._nodes:
            self._nodes[name] = len(self._nodes)
            self._node_lanes.append(_Lanes())
            self._node_attempts.append(0)
        return self._nodes[name]

    def _add(self, attempt: TimelineAttempt) -> None:
        key = attempt.asset, attempt.partition_key, attempt.attempt
        place = self._asset(attempt.asset)
        known = self._open.pop(key, None)
        if known is None:
            known = self._begin(attempt, place)
        bar = self._bars[known]
        bar[_SHAPE] = ICONS[attempt.status]
        if attempt.finished_at is None:
            self._open[key] = known
        else:
            self._end(attempt, bar, place)
        self._changes.append((self.version, known))

    def _begin(self, attempt: TimelineAttempt, place: int) -> int:
        instant = attempt.started_at or attempt.finished_at or self._origin
        start = max(0, self._milliseconds(instant))
        lane = 0 if attempt.started_at is None else self._lanes[place].take(start)
        label = step_label(attempt.asset, attempt.partition_key)
        node, node_lane = _NOWHERE, 0
        if attempt.attempt and attempt.started_at is not None:
            node = self._node(attempt.node)
            node_lane = self._node_lanes[node].take(start)
            self._node_attempts[node] += 1
        self._bars.append([place, label, attempt.attempt, "run", start, _OPEN, lane, 0, 1, node, node_lane])
        return len(self._bars) - 1

    def _end(self, attempt: TimelineAttempt, bar: Bar, place: int) -> None:
        assert attempt.finished_at is not None
        ran = attempt.attempt > 0
        bar[_LENGTH] = max(0, self._milliseconds(attempt.finished_at) - bar[_START]) if ran else 0
        wait = attempt.retry_after
        bar[_WAIT] = 0 if wait is None else round(wait * 1000)
        if ran:
            free_at = bar[_START] + bar[_LENGTH] + bar[_WAIT]
            self._lanes[place].give_back(bar[_LANE], free_at)
            if bar[_NODE] != _NOWHERE:
                self._node_lanes[bar[_NODE]].give_back(bar[_NODE_LANE], free_at)
            self._lengths.append(bar[_LENGTH])
        if wait is None and attempt.status is not Status.WAITING:
            self._done[place][bar[_SHAPE]] += 1
        if attempt.failure is not None and attempt.status is Status.FAILED:
            self._failures[attempt.asset, attempt.partition_key, attempt.attempt] = attempt.failure
            if len(self._failures) > _MOST_FAILURES:
                self._failures.popitem(last=False)

    def _milliseconds(self, instant: datetime) -> int:
        return round((instant - self._origin).total_seconds() * 1000)

    # Answers ------------------------------------------------------------------------------------------------

    def changes(self, since: int) -> str:
        """What has changed since a version, as JSON; a whole that begins anew where that is not known."""
        if since + 1 < self._oldest:
            return self.whole()
        return self._text(("changes", since), lambda: self._changed(since))

    def whole(self, first: int | None = None, last: int | None = None, *, by: By = "asset") -> str:
        """All bars, or those between two instants, as JSON; `by`: in whose lanes many are drawn as few."""
        return self._text(("whole", first, last, by), lambda: self._whole(first, last, by))

    def _text(self, key: tuple[Any, ...], make: Any) -> str:
        # Open bars grow by the browser's clock, so a text stays right until something changes.
        known = self._texts.get(key)
        if known is None:
            known = self._texts[key] = json.dumps(make(), separators=(",", ":"))
            if len(self._texts) > _KEPT:
                self._texts.popitem(last=False)
        return known

    def _changed(self, since: int) -> dict[str, Any]:
        newest = {}
        for version, place in reversed(self._changes):
            if version <= since:
                break
            newest[place] = self._bars[place]
        return self._head() | {"from": since, "bars": [[place, *bar] for place, bar in newest.items()]}

    def _whole(self, first: int | None, last: int | None, by: By) -> dict[str, Any]:
        bars = [
            (place, bar) for place, bar in enumerate(self._bars) if by == "asset" or bar[_NODE] != _NOWHERE
        ]
        if first is not None and last is not None:
            bars = [
                (place, bar)
                for place, bar in bars
                if bar[_START] <= last and (bar[_LENGTH] == _OPEN or bar[_START] + bar[_LENGTH] >= first)
            ]
        merged = _merged(bars, by)
        return self._head() | {
            "from": None,
            "by": by,
            "merged": len(merged) < len(bars),
            "bars": [[place, *bar] for place, bar in merged],
        }

    def _head(self) -> dict[str, Any]:
        run, now = self._run, datetime.now(UTC)
        assert run is not None
        ended = sum(run.counts.values())
        running = Counter(self._bars[place][_NODE] for place in self._open.values())
        end = None if run.finished_at is None else self._milliseconds(run.finished_at)
        seconds = (now - self._origin).total_seconds()
        worked = ended - run.counts.get(Status.REUSED.value, 0)
        left = run.total - ended
        eta = None
        if end is None and run.status is Status.RUNNING and worked >= _ENOUGH and left > 0:
            eta = round((seconds + left * seconds / worked) * 1000)
        return {
            "version": self.version,
            "origin": round(self._origin.timestamp() * 1000),
            "now": round(seconds * 1000),
            "end": end,
            "eta": eta,
            "typical": round(median(self._lengths[-501:])) if self._lengths else 0,
            "attempts": len(self._lengths) + len(self._open),
            "assets": [
                [name, self._totals[place], self._lanes[place].number, *self._asset_state(place)]
                for name, place in self._names.items()
            ],
            "nodes": [
                [name, self._node_lanes[place].number, self._node_attempts[place], running[place]]
                for name, place in self._nodes.items()
            ],
        }

    def _asset_state(self, place: int) -> tuple[int, str]:
        done, total = self._done[place], self._totals[place]
        ended = sum(done.values())
        for shape in ("fail", "wait", "skipd", "cancel"):
            if done[shape]:
                return ended, shape
        if ended >= total:
            return ended, "reused" if done["reused"] and not done["ok"] else "ok"
        return ended, "run" if ended or self._lanes[place].number else "queue"


def _merged(bars: Sequence[tuple[int, Bar]], by: By) -> list[tuple[int, Bar]]:
    """At most `MOST_BARS`, or as few as there can be: the finer the less there is."""
    if len(bars) <= MOST_BARS:
        return list(bars)
    ends = [bar[_START] + max(0, bar[_LENGTH]) for _, bar in bars]
    span = max(ends) - min(bar[_START] for _, bar in bars)
    pixel = max(1, span // _PIXELS)
    band, row = (_ASSET, _LANE) if by == "asset" else (_NODE, _NODE_LANE)
    lanes: dict[tuple[int, int], list[tuple[int, Bar]]] = {}
    for place, bar in bars:
        lanes.setdefault((bar[band], bar[row]), []).append((place, bar))
    while True:
        found = [each for lane in lanes.values() for each in _merged_lane(lane, pixel)]
        if len(found) <= MOST_BARS or pixel > span:
            return found
        pixel *= 2


def _merged_lane(lane: Sequence[tuple[int, Bar]], pixel: int) -> list[tuple[int, Bar]]:
    found: list[tuple[int, Bar]] = []
    for place, bar in lane:
        small = 0 <= bar[_LENGTH] < pixel
        if small and found:
            last = found[-1][1]
            end = last[_START] + last[_LENGTH]
            fits = last[_SHAPE] == bar[_SHAPE] and bar[_START] - end < pixel
            if fits and 0 <= last[_LENGTH] < 16 * pixel and last[_COUNT] >= 0:
                grown = list(last)
                grown[_LENGTH] = max(end, bar[_START] + bar[_LENGTH]) - last[_START]
                grown[_COUNT] += bar[_COUNT]
                found[-1] = (found[-1][0], grown)
                continue
        found.append((place, bar))
    return found


class Timelines:
    """The runs that somebody has looked at last.

    Args:
        runtime: Where they are read.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._runs: OrderedDict[str, RunBars] = OrderedDict()
        self._logs: OrderedDict[tuple[Any, ...], tuple[float, tuple[list[list[Any]], int]]] = OrderedDict()
        self._nodes_at = float("-inf")
        self._elsewhere: list[RunningStep] = []

    async def of(self, run_id: str) -> RunBars:
        """The bars of a run as of now. Raises `RunNotFound`."""
        bars = self._runs.get(run_id)
        if bars is None:
            bars = self._runs[run_id] = RunBars(run_id)
            if len(self._runs) > _KEPT:
                self._runs.popitem(last=False)
        self._runs.move_to_end(run_id)
        try:
            await bars.refresh(self._runtime)
        except BaseException:
            if bars.version == 0:
                self._runs.pop(run_id, None)
            raise
        return bars

    async def running(self) -> Sequence[RunningStep]:
        """The steps that run on any node, as of half a second ago at most."""
        now = asyncio.get_running_loop().time()
        if now - self._nodes_at > _NODES:
            self._nodes_at = now
            nodes = await self._runtime.nodes()
            self._elsewhere = [
                step for node in nodes if node.id != self._runtime.node for step in node.running
            ]
        return [*self._runtime.running_steps(), *self._elsewhere]

    async def log(self, run_id: str, wanted: LogWanted, after: int) -> tuple[list[list[Any]], int]:
        """The next lines of a log after a number, and where to go on; one reading for all who are as far."""
        key = (run_id, *map(str, wanted), after)
        now = asyncio.get_running_loop().time()
        known = self._logs.get(key)
        if known is None or now - known[0] > _FRESH:
            rows, end, _ = await read_log(self._runtime, run_id, wanted, after)
            known = self._logs[key] = (now, (rows, end))
            while len(self._logs) > _LOGS:
                self._logs.popitem(last=False)
        return known[1]
