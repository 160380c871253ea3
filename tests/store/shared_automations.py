"""Automations of a `SharedMemory`: as in memory, but several changes are told of before their runs are started."""

from __future__ import annotations

from flowstone.errors import FlowstoneError
from flowstone.store.memory_automations import MemoryAutomations
from flowstone.store.sanitise import sanitised_move

__all__ = ["SharedAutomations"]


class SharedAutomations(MemoryAutomations):
    """The automations, by one connection."""

    def __init__(self, store):
        super().__init__(lambda: store.shared.history, store._change, store._keep, store._ending)

    async def move_each(self, moves):
        history = self._history()
        moves = [sanitised_move(move) for move in moves]
        made = [self._refusal(move) for move in moves]
        for place, move in enumerate(moves):
            if made[place] is None:
                shunned = self._ending() if any(run.join for run in move.runs) else []
                made[place] = history.make(move, shunned)
                for run in made[place].runs:
                    if run is not None and run.joined:
                        self._keep(run.id)
        return made

    def _refusal(self, move):
        """Tell of a change; None if it can be made."""
        try:
            self._history().tell_of(move)
        except FlowstoneError as error:
            return error
        return None
