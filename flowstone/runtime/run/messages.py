"""What the coordinator of a run is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from flowstone.actors import Actor, Cast
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.actors import Exit
    from flowstone.runs.commands import Signal
    from flowstone.runs.endings import AttemptResult
    from flowstone.runs.events import Event, StepReused
    from flowstone.runtime.run.attempt import Attempt
    from flowstone.runtime.run.control import Control

__all__ = [
    "Asked",
    "Broken",
    "Checked",
    "Driver",
    "HandledHere",
    "Message",
    "NextTurn",
    "OtherMessage",
    "Recorded",
    "Signalled",
    "StepEnded",
]


class Driver(Actor):
    """Whom these messages are for: the actor that drives a run."""


@frozen
class StepEnded(Cast[Driver]):
    """An attempt is over: what it recorded as its end, or None if its task did not live to do that."""

    attempt: Attempt
    end: AttemptResult | None
    exit: Exit


@frozen
class Recorded(Cast[Driver]):
    """Events that were recorded by a task beside the attempts, and the steps they end."""

    events: Sequence[Event]
    steps: Sequence[int]


@frozen
class Checked(Cast[Driver]):
    """The look-up of current values is back: recorded reuses by step, and the steps that must run."""

    reused: Sequence[tuple[int, StepReused]]
    needed: tuple[int, ...]


@frozen
class Signalled(Cast[Driver]):
    """A timer fired."""

    signal: Signal


@frozen
class Asked(Cast[Driver]):
    """Somebody has asked something of the run."""

    request: Control


@frozen
class Broken(Cast[Driver]):
    """A task that had to record something could not."""

    error: BaseException


@frozen
class NextTurn(Cast[Driver]):
    """The loop has taken another turn: there is time again to begin attempts at once."""


@frozen
class HandledHere(Cast[Driver]):
    """What was handled between two messages has brought the run to its end, or an error of ours to light."""

    error: BaseException | None = None


OtherMessage: TypeAlias = HandledHere | Recorded | Checked | Signalled | Asked | Broken
Message: TypeAlias = StepEnded | NextTurn | OtherMessage
