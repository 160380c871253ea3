"""What is done beside the attempts of a run, so that the mailbox of its coordinator never waits for a store.

A look-up, a batch of records, a question to the store: each is a task of its own among the run's steps, and stops
with them. If it crashes, the run cannot go on: the coordinator is told with what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.actors import Crashed, Normal
from flowstone.runtime.run.messages import Broken, Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from flowstone.actors import Exit, Me, TaskHandle, TaskSupervisor
    from flowstone.actors.early import EarlyMe
    from flowstone.runs.events import Event

__all__ = ["Beside"]


class Beside:
    """The tasks of one incarnation of a run's coordinator that are not attempts.

    Args:
        steps: Where they run.

    Attributes:
        me: The coordinator's.
    """

    me: Me | EarlyMe

    def __init__(self, steps: TaskSupervisor) -> None:
        self._steps = steps

    def do(
        self, name: str, work: Coroutine[Any, Any, Any], done: Callable[[Any], object] | None = None
    ) -> None:
        """Run something as a task of its own, and call `done` with what came of it."""

        def over(handle: TaskHandle, how: Exit) -> None:
            if isinstance(how, Normal):
                if done is not None:
                    done(handle.result)
            elif isinstance(how, Crashed):
                self.me.ref.cast(Broken(how.error))

        self._steps.start(name, work, over)

    def recorded(self, events: Sequence[Event], steps: Sequence[int]) -> None:
        """Tell the coordinator of events that are on record, and the numbers of their steps."""
        self.me.ref.cast(Recorded(events, steps))
