"""What the coordinator of a run is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from flowstone.actors import Cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.actors import Exit
    from flowstone.runs.commands import Signal
    from flowstone.runs.events import Event, StepReused
    from flowstone.runtime.attempt import Attempt
    from flowstone.runtime.run_coordinator import RunCoordinator  # noqa: F401 - whom the messages are for

__all__ = ["Broken", "Checked", "Message", "Recorded", "Signalled", "StepEnded", "Stop"]


@dataclass(frozen=True, slots=True)
class StepEnded(Cast["RunCoordinator"]):
    """An attempt is over: its recorded end, or None if its task did not live to record one."""

    attempt: Attempt
    event: Event | None
    exit: Exit


@dataclass(frozen=True, slots=True)
class Recorded(Cast["RunCoordinator"]):
    """Events that were recorded by a task beside the attempts, and the steps they end."""

    events: Sequence[Event]
    steps: Sequence[int]


@dataclass(frozen=True, slots=True)
class Checked(Cast["RunCoordinator"]):
    """The look-up of current values is back: recorded reuses by step, and the steps that must run."""

    reused: Sequence[tuple[int, StepReused]]
    needed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Signalled(Cast["RunCoordinator"]):
    """A timer fired."""

    signal: Signal


@dataclass(frozen=True, slots=True)
class Stop(Cast["RunCoordinator"]):
    """Somebody asked for the run to stop, another node drives it, or it is to be handed back to the queue."""

    how: Literal["cancel", "give up", "release"]


@dataclass(frozen=True, slots=True)
class Broken(Cast["RunCoordinator"]):
    """A task that had to record something could not."""

    error: BaseException


Message: TypeAlias = StepEnded | Recorded | Checked | Signalled | Stop | Broken
