"""What a node does, a line at a time: which runs begin and end here, and which steps failed.

For people a line on stderr with the time; with `--json` a document per line on stdout.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowstone.cli.documents import json_value, run_document
from flowstone.cli.labels import (
    breakdown,
    duration,
    failure_label,
    record_label,
    request_label,
    status_label,
    step_label,
    took,
)
from flowstone.counting import count
from flowstone.errors import RunNotFound, StoreUnavailable
from flowstone.masking import masked
from flowstone.runs.events import RunFinished, RunStarted, StepFailed, StepRetried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flowstone.cli.screen import Screen
    from flowstone.runs.automation_events import Event
    from flowstone.runs.records import Failure, RunRecord
    from flowstone.runtime.runtime import Runtime

__all__ = ["NodeLog"]

_FAILURES: Final = 5  # Told of one run; a broken source fails a thousand partitions in the same words.
_KNOWN: Final = 10_000  # Runs.
_News: TypeAlias = tuple[str, str, str]  # How a step ended, the kind of its failure and the message.

_STYLES: Final = {"succeeded": "green", "failed": "bold red", "cancelled": "magenta"}


class NodeLog:
    """Tells what happens in a runtime.

    Args:
        screen: Where to.
        runtime: Of what.
    """

    def __init__(self, screen: Screen, runtime: Runtime) -> None:
        self._screen = screen
        self._runtime = runtime
        self._all_logged = asyncio.Event()
        # Runs told of, with the failures told of each.
        self._known: OrderedDict[str, set[_News]] = OrderedDict()

    def tell(self, event: str, text: str, style: str = "", /, **facts: Any) -> None:
        """One line."""
        now = datetime.now(UTC)
        if self._screen.json:
            self._screen.line({"at": now.isoformat(), "event": event, **facts})
        else:
            self._screen.note(f"{now.astimezone():%H:%M:%S} {text}", style)

    async def follow(self, events: AsyncIterator[Event]) -> None:
        """Tell of each event that is worth it, until there are no more."""
        async for event in events:
            await self._take(event)
        self._all_logged.set()

    async def all_logged(self, within: float) -> None:
        """Return when `follow` has told everything, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._all_logged.wait()

    async def _take(self, event: Event) -> None:
        if event.run_id and event.run_id not in self._known:
            await self._begins(event)
        match event:
            case RunFinished():
                await self._ends(event)
            case StepFailed():
                self._failed(event)
            case StepRetried(failure=failure) if failure.kind != "lost":
                self._retried(event)
            case _:
                pass

    async def _begins(self, event: Event) -> None:
        self._known[event.run_id] = set()
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        run = await self._record(event.run_id)
        if run is None:
            return
        if run.owner is None:
            # It was parked, and is gone on with soon: then it is told. Or it has ended without a node.
            del self._known[event.run_id]
            return
        if run.owner != self._runtime.node:
            text = f"run {run.id}: takes steps of {request_label(run)} for the node {run.owner}"
            self.tell("run.shared", text, run_id=run.id, owner=run.owner)
            return
        total = event.total if isinstance(event, RunStarted) else run.total
        resumed = run.epoch > 1  # The first node that takes it raises it to one.
        begun = "goes on here" if resumed else "started"
        self.tell(
            "run.resumed" if resumed else "run.started",
            f"run {run.id} {begun}: {request_label(run)}, {count(total, 'step')}",
            **_facts(run),
        )

    async def _ends(self, event: RunFinished) -> None:
        self._known.pop(event.run_id, None)
        run = await self._record(event.run_id)
        if run is None:
            return
        how = status_label(event.status, run.counts)
        text = f"run {run.id} {how} after {took(run)}: {breakdown(run.counts)}"
        self.tell("run.finished", text, _STYLES.get(event.status, ""), **_facts(run))

    def _failed(self, event: StepFailed) -> None:
        failure = event.materialization.failure
        if failure is None or not self._is_news(event.run_id, "failed", failure):
            return
        logged = sum(ending == "failed" for ending, _, _ in self._known[event.run_id])
        step = record_label(event.materialization)
        text = f"{step} failed ({failure.kind}, attempt {event.attempt}): {failure_label(failure)}"
        if logged in {1, _FAILURES}:
            what = "the traceback" if logged == 1 else "the other failures"
            text += f"; `flowstone run {event.run_id} --debug` shows {what}"
        self.tell(
            "step.failed",
            text,
            "red",
            run_id=event.run_id,
            asset=event.asset,
            partition_key=event.partition_key,
            attempt=event.attempt,
            failure={"kind": failure.kind, "message": masked(failure.message), "where": failure.where},
        )

    def _is_news(self, run_id: str, ending: str, failure: Failure) -> bool:
        """Whether this was not told of another step of the run, and not too much was."""
        logged = self._known.setdefault(run_id, set())
        news = (ending, failure.kind, failure.message)
        if news in logged or sum(one[0] == ending for one in logged) >= _FAILURES:
            return False
        logged.add(news)
        return True

    def _retried(self, event: StepRetried) -> None:
        if not self._is_news(event.run_id, "retried", event.failure):
            return
        step = step_label(event.asset, event.partition_key)
        self.tell(
            "step.retried",
            f"{step} failed and is tried again in {duration(event.delay)}: {failure_label(event.failure)}",
            "yellow",
            run_id=event.run_id,
            asset=event.asset,
            partition_key=event.partition_key,
            attempt=event.attempt,
            delay=event.delay,
        )

    async def _record(self, run_id: str) -> RunRecord | None:
        """The run, or None if it cannot be had right now: the line is not worth the node."""
        try:
            return await (await self._runtime.run(run_id)).record()
        except (RunNotFound, StoreUnavailable):
            return None


def _facts(run: RunRecord) -> dict[str, Any]:
    document = run_document(run)
    names = ("id", "status", "kind", "asset", "total", "counts", "started_at", "finished_at")
    return {
        "run_id": document.pop("id"),
        **{name: json_value(document[name]) for name in names if name in document},
    }
