"""A run: how far it is, how long it will take, and what broke."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flowstone.frozen import frozen
from flowstone.masking import masked
from flowstone.runs.access import Role
from flowstone.runs.audit import WORDS
from flowstone.runs.records import Status
from flowstone.server.addresses import launch_path, partition_path
from flowstone.server.log_rows import NewestLines, log_text, read_held, read_log, read_newest
from flowstone.server.pages.page import Page
from flowstone.server.render import ICONS, shortened
from flowstone.server.run_steps import running_now, step_of, step_text
from flowstone.server.views.launch_again import again_path
from flowstone.server.views.run_failure import failure_of
from flowstone.server.views.run_origin import origin_of, place_in_queue
from flowstone.server.views.run_progress import progress_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from flowstone.runs.audit import AuditEntry
    from flowstone.runs.records import Materialization, RunRecord
    from flowstone.runs.running_step import RunningStep
    from flowstone.server.asked import Asked
    from flowstone.server.log_rows import LogWanted
    from flowstone.server.views.run_failure import Panel

__all__ = ["PAGE"]

_ROWS: Final = 50
_ITEMS: Final = 20
_ACTS: Final = 20
_FAILED_FIRST: Final = 10
"""So many of the steps that failed are at the top of the table."""

_ENDINGS: Final = (Status.SUCCEEDED, Status.REUSED, Status.FAILED, Status.SKIPPED, Status.CANCELLED)


@frozen
class StepRow:
    """A row of the table of steps."""

    text: str
    shape: str
    attempt: int
    took: float | None
    note: str


async def load(asked: Asked) -> Mapping[str, Any]:
    """The run, the step that is looked at, and a page of all steps."""
    runtime, run_id = asked.runtime, asked.path["run_id"]
    record = await (await runtime.run(run_id)).record()
    running = [] if record.status.terminal else running_now(await asked.timelines.running(), run_id)
    chosen, asset, partition = await _chosen(asked, record)
    panel = None if chosen is None else await failure_of(asked, record, chosen, _attempt(asked.query))
    wanted: LogWanted = ("", None, None)
    if asset and asked.query.get("log") != "run":
        wanted = (asset, partition, None if panel is None else panel.attempt or None)
    log = await _log(asked, run_id, wanted, panel)
    shown, offset = asked.query.get("status", ""), _number(asked.query.get("from", "0"))
    undone = _undone(record)
    return {
        "run": record,
        "progress": progress_of(record, running, asked.now),
        "parts": _parts(record, running),
        "origin": await origin_of(runtime, record),
        "acts_on_it": await _acts(asked, run_id),
        "did": WORDS,
        "place": await place_in_queue(runtime, record),
        "panel": panel,
        "running": running,
        "log": log,
        "of_run": not wanted[0],
        "log_step": _text(chosen, asked.query.get("step", "")) if wanted[0] else "",
        "log_attempt": wanted[2] or 0,
        "unfinished": next(
            (step for step in running if step.asset == asset and step.partition == partition), None
        ),
        "asked_step": asked.query.get("step", ""),
        "step_text": step_text,
        "at_partition": partition_path,
        "launch_at": launch_path,
        "rows": await _rows(asked, record, running, shown, offset),
        "shown": shown,
        "offset": offset,
        "per_page": _ROWS,
        "undone": undone,
        "again": again_path(record),
        "may": asked.identity.role.may(Role.OPERATE),
        "config": masked(json.dumps(record.config, indent=2, default=dict)),
        "items": await _items(asked, chosen),
    }


async def _log(asked: Asked, run_id: str, wanted: LogWanted, panel: Panel | None) -> NewestLines:
    """The newest lines; or those from the first one on, which the stream of the page goes on with.

    Of an attempt before the last one the newest lines of the step are none. The stream of the page renders what is
    held, and brings what is kept as news: to look for it in a long log at each rendering would take seconds.
    """
    whole = asked.query.get("lines") == "all"
    earlier = panel is not None and wanted[2] is not None and wanted[2] != panel.step.attempt
    if asked.live:
        held = [] if earlier or whole else await read_held(asked.runtime, run_id, wanted)
        return NewestLines([], held, 0, more=False)
    if earlier or whole:
        rows, last, _ = await read_log(asked.runtime, run_id, wanted, 0)
        return NewestLines(rows, [], last, more=False)
    return await read_newest(asked.runtime, run_id, wanted)


async def _acts(asked: Asked, run_id: str) -> Sequence[AuditEntry]:
    """What was done to the run after it was asked for, the newest first."""
    found = await asked.runtime.audit(run_id=run_id, limit=_ACTS)
    return [entry for entry in found if entry.action != "run.queued"]


async def _chosen(asked: Asked, record: RunRecord) -> tuple[Materialization | None, str, Any]:
    """The step that is looked at: the one of the address, or the first that failed."""
    text = asked.query.get("step", "")
    if text:
        asset, partition = step_of(text)
        return await asked.runtime.step(record.id, asset, partition), asset, partition
    if record.counts.get(Status.FAILED.value):
        failed = await asked.runtime.steps(record.id, Status.FAILED, limit=1)
        if failed:
            return failed[0], failed[0].asset, failed[0].partition
    return None, "", None


def _undone(record: RunRecord) -> int:
    """The steps that a retry computes, as far as they have values to be reused."""
    unmade = (Status.FAILED, Status.SKIPPED, Status.CANCELLED)
    undone = sum(record.counts.get(status.value, 0) for status in unmade)
    begun = sum(record.counts.values())
    return undone + (max(0, record.total - begun) if record.status is Status.CANCELLED else 0)


def _text(chosen: Materialization | None, asked: str) -> str:
    return asked if chosen is None else step_text(chosen.asset, chosen.partition_key)


async def _items(asked: Asked, chosen: Materialization | None) -> Sequence[Any]:
    """What went through the step, the failures first."""
    graph = asked.runtime.graph
    if chosen is None or chosen.asset not in graph or graph[chosen.asset].each is None:
        return ()
    where = chosen.run_id, chosen.asset, chosen.partition
    failed = await asked.runtime.items(*where, Status.FAILED, limit=_ITEMS)
    return failed or await asked.runtime.items(*where, limit=_ITEMS)


def _parts(record: RunRecord, running: Sequence[RunningStep]) -> list[tuple[str, str, int]]:
    """The counts below the bar: shape, status, number."""
    ended = sum(record.counts.values())
    active = min(len(running), max(0, record.total - ended))
    left = 0 if record.status.terminal else max(0, record.total - ended - active)
    found = [(ICONS[status], status.value, record.counts.get(status.value, 0)) for status in _ENDINGS]
    found += [("run", "running", active), ("queue", "queued", left)]
    return [each for each in found if each[2]]


async def _rows(
    asked: Asked, record: RunRecord, running: Sequence[RunningStep], shown: str, offset: int
) -> list[StepRow]:
    if shown == "running":
        return [
            StepRow(
                step_text(step.asset, step.partition_key),
                "run",
                step.attempt,
                (asked.now - step.started_at).total_seconds(),
                " ".join(filter(None, (_percent(step.fraction), step.message))),
            )
            for step in running[offset : offset + _ROWS]
        ]
    status = shown if shown in _ENDINGS else None
    if shown and status is None:
        return []
    steps = list(await asked.runtime.steps(record.id, status, limit=_ROWS, offset=offset))
    if status is None and not offset and record.counts.get(Status.FAILED.value):
        # What somebody looks for comes first; all others in the order in which they ended.
        failed = await asked.runtime.steps(record.id, Status.FAILED, limit=_FAILED_FIRST)
        named = {step.name for step in failed}
        steps = [*failed, *(step for step in steps if step.name not in named)]
    return [_row(step) for step in steps]


def _row(step: Materialization) -> StepRow:
    ran = step.attempt > 0 and step.status is not Status.REUSED
    note = "" if step.failure is None else shortened(step.failure.message.partition("\n")[0], 200)
    took = step.duration if ran else None
    text = step_text(step.asset, step.partition_key)
    return StepRow(text, ICONS[step.status], step.attempt if ran else 0, took, note)


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{fraction:.0%}"


def _attempt(query: Mapping[str, str]) -> int | None:
    return _number(query["attempt"]) if "attempt" in query else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def news(asked: Asked, seen: str) -> Callable[[], Awaitable[Sequence[tuple[str, str, str]]]]:
    """What is new in the drawing and in the log, for one browser."""
    run_id, query = asked.path["run_id"], asked.query
    version, _, line = seen.partition(".")
    at = {"version": _number(version) if version else -1, "line": _number(line or query.get("_log", "0"))}
    wanted: LogWanted = ("", None, None)
    if query.get("_step"):
        wanted = (*step_of(query["_step"]), _attempt({"attempt": query.get("_attempt", "")}) or None)

    async def since() -> Sequence[tuple[str, str, str]]:
        found = []
        bars = await asked.timelines.of(run_id)
        before, at["version"] = at["version"], bars.version
        if before < 0 or before > bars.version:  # The page itself loads all there is.
            before = bars.version
        rows, last = await asked.timelines.log(run_id, wanted, at["line"])
        begun, at["line"] = at["line"], last
        number = f"{at['version']}.{last}"
        if before < bars.version:
            found.append(("bars", number, bars.changes(before)))
        if last > begun:
            found.append(("log", number, log_text(rows, begun, last)))
        return found

    return since


PAGE: Final = Page(
    "runs",
    "/runs/{run_id}",
    "run.html",
    load,
    ("state", "acts", "prog", "failure", "held", "steps"),
    news=news,
)
