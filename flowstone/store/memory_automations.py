"""Automations where one process holds the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.errors import FlowstoneError
from flowstone.store.automations import MOST_FIRES, Automations, Moved
from flowstone.store.sanitise import sanitised_automation, sanitised_move

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
    from datetime import datetime

    from flowstone.runs.automation import AutomationKey, AutomationRecord, Definition, Fire, Move
    from flowstone.runs.automation_events import AutomationEvent
    from flowstone.store.history import History

__all__ = ["MemoryAutomations"]


class MemoryAutomations(Automations):
    """The automations of a `MemoryStore`, or of a store that is one.

    Args:
        history: The state, now.
        change: Makes a change: given the operation of the journal that says it, and what applies it.
        keep: Says that a run is wanted from now on whoever leaves it.
        ending: Says which unfinished runs are about to be cancelled: these are not joined.
    """

    def __init__(
        self,
        history: Callable[[], History],
        change: Callable[[list[Any], Callable[[], Any]], Coroutine[Any, Any, Any]],
        keep: Callable[[str], None],
        ending: Callable[[], list[str]],
    ) -> None:
        self._history = history
        self._change = change
        self._keep = keep
        self._ending = ending

    async def define(
        self, defined: Mapping[str, Collection[Definition]], *, now: datetime, whole: bool = True
    ) -> Sequence[AutomationRecord]:
        ledger = self._history().automations
        if not len(ledger) and not any(defined.values()):
            return []  # Most processes have none: that is not worth a line.
        from flowstone.store.automation_codec import encode_definition  # noqa: PLC0415 - few runtimes in memory need it

        encoded = {
            pipeline: [encode_definition(each) for each in definitions]
            for pipeline, definitions in defined.items()
        }
        found: Sequence[AutomationRecord] = await self._change(
            ["automations", encoded, now.isoformat(), *([] if whole else [whole])],
            lambda: self._history().define_automations(defined, now, whole),
        )
        return found

    async def records(self, pipelines: Collection[str] = ()) -> Sequence[AutomationRecord]:
        return self._history().automations.records(pipelines)

    async def record(self, key: AutomationKey) -> AutomationRecord | None:
        return self._history().automations.get(key)

    async def move(self, move: Move) -> Moved:
        from flowstone.store.automation_codec import encode_move  # noqa: PLC0415 - as above

        move = sanitised_move(move)
        # The journal has them too, so that it is decided so again.
        shunned = self._ending() if any(run.join for run in move.runs) else []

        def apply() -> Moved:
            moved = self._history().move(move, shunned)
            for run in moved.runs:
                if run is not None and run.joined:
                    self._keep(run.id)
            return moved

        operation = ["move", encode_move(move), *([shunned] if shunned else [])]
        moved: Moved = await self._change(operation, apply)
        return moved

    async def move_each(self, moves: Sequence[Move]) -> Sequence[Moved | FlowstoneError]:
        made: list[Moved | FlowstoneError] = []
        for move in moves:
            try:
                made.append(await self.move(move))
            except FlowstoneError as error:
                made.append(error)
        return made

    async def pause(
        self, key: AutomationKey, paused: bool, *, events: Sequence[AutomationEvent] = ()
    ) -> AutomationRecord | None:
        ledger = self._history().automations
        if not ledger.would_pause(key, paused):
            return ledger.pause(key, paused)
        from flowstone.store.codec import encode_event  # noqa: PLC0415 - as above

        safe = [sanitised_automation(event) for event in events]
        operation = ["pause", *key, paused, [encode_event(event) for event in safe]]
        record: AutomationRecord | None = await self._change(
            operation, lambda: self._history().pause(key, paused, safe)
        )
        return record

    async def under_way(self, key: AutomationKey) -> Collection[str]:
        history = self._history()
        return history.automations.under_way(key, history.status_of)

    async def fires(self, key: AutomationKey, *, limit: int = MOST_FIRES) -> Sequence[Fire]:
        history = self._history()
        return history.automations.fires(key, limit, history.status_of)
