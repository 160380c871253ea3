"""What a run's state machine asks its driver to do, and what the driver tells it that is not recorded.

A command is an order, in the imperative; steps are numbers of the run's plan. A signal reports something
that only matters while this process drives the run: a timer fired, a look-up came back. Signals are not
events: nothing of them survives a restart, because a restart makes them meaningless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from flowstone.runs.records import Status

__all__ = [
    "AttemptLost",
    "BeginStep",
    "CancelSteps",
    "CheckSteps",
    "Command",
    "FinishRun",
    "HoldStarts",
    "ParkRun",
    "RecordCancelled",
    "RecordSkipped",
    "RetryDue",
    "RetryStep",
    "Signal",
    "StartStep",
    "StepInLine",
    "StepServed",
    "StepsNeeded",
]


class StartStep(NamedTuple):
    """Start this attempt of the step now. A tuple, because there is one for each step.

    Attributes:
        step: The step.
        attempt: The attempt's number.
        exclusive: Whether nothing else may run beside it on its node: an earlier attempt went with its process.
        failed: How many attempts before it failed by themselves; only those count against `Retry.attempts`.
    """

    step: int
    attempt: int
    exclusive: bool = False
    failed: int = 0


@frozen
class BeginStep:
    """Let the attempt begin that stands in line and has been served: there is a place for it now."""

    step: int


@frozen
class RetryStep:
    """Report `RetryDue` after `delay` seconds. The step holds no slot meanwhile."""

    step: int
    delay: float


@frozen
class CheckSteps:
    """Look whether the current values of these steps are good enough to reuse.

    Answer with a `StepReused` event for each that is, and one `StepsNeeded` for the others.
    """

    steps: tuple[int, ...]


@frozen
class CancelSteps:
    """Stop the running attempts of these steps; each answers with its own terminal event."""

    steps: tuple[int, ...]


@frozen
class RecordSkipped:
    """Record these steps as skipped; each is paired with the step whose failure or choice caused it."""

    steps: tuple[tuple[int, int], ...]


@frozen
class RecordCancelled:
    """Record these steps, which never started or are between two attempts, as cancelled."""

    steps: tuple[int, ...]


@frozen
class FinishRun:
    """Every step is terminal and recorded: record the run's status."""

    status: Status


@frozen
class ParkRun:
    """Nothing is left but steps that wait for somebody else, and what depends on them.

    The run needs no process until one of them is woken: it may be let go of now, and be replayed then as after a
    restart. As long as it is not let go of, events may be applied as ever.
    """


Command: TypeAlias = (
    StartStep
    | BeginStep
    | RetryStep
    | CheckSteps
    | CancelSteps
    | RecordSkipped
    | RecordCancelled
    | FinishRun
    | ParkRun
)


@frozen
class RetryDue:
    """The delay before a step's next attempt is over."""

    step: int


@frozen
class StepsNeeded:
    """Of the steps that were checked, these have no value that may be reused."""

    steps: tuple[int, ...]


@frozen
class StepInLine:
    """The step waits for slots of pools or for a turn of a rate: it takes no place meanwhile."""

    step: int


@frozen
class StepServed:
    """The step that stands in line has what it waited for: `BeginStep` is to follow, now or later."""

    step: int


@frozen
class HoldStarts:
    """Start nothing more: the run is to end once its running steps have."""


@frozen
class AttemptLost:
    """The process that ran this attempt died while the run goes on: nobody will record how it ended.

    The step is started again with the next number. If the attempt had begun, it may be what ended the process:
    that is a loss, and the next attempt runs alone.
    """

    step: int
    attempt: int
    begun: bool = True


Signal: TypeAlias = RetryDue | StepsNeeded | StepInLine | StepServed | HoldStarts | AttemptLost
