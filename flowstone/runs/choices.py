"""What upstream steps without a value mean for a step: it goes on, or is skipped, by choice or for a failure.

Most dependencies are alike: the step needs the value. Then all there is to know of an upstream step is whether it
gave one, and nothing of this module is used. It is as soon as a step of the run is skipped by choice, and from the
beginning where a dependency is of another kind:

    value      needs it, or takes its default if the upstream was skipped by choice; a failure it passes on.
               The default of the own past is for the first key, so a value of that is always needed
    outcome    takes whatever became of the upstream, and is held up by nothing but its not being over
    choice     needs to be chosen by the upstream, a route

What was skipped by choice is decided when every upstream step has ended: who runs and who is skipped, and why, must
not depend on which of them is faster. A failure decides at once, because it outweighs everything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowstone.runs.events import StepCancelled, StepFailed, StepReused, StepSkipped, StepSucceeded
from flowstone.runs.step_states import (
    ASIDE,
    BLOCKED,
    CANCELLED,
    DECLINED,
    DEFERRED,
    DROPPED,
    FAILED,
    PENDING,
    READY,
    REUSED,
    SKIPPED,
    SUCCEEDED,
    UNEXAMINED,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.events import StepEvent
    from flowstone.runs.plan import AssetPlan, Edge, RunPlan
    from flowstone.runs.records import Materialization

__all__ = ["ROUTE", "Choices", "ended_as", "is_by_choice", "is_tolerated"]

_STOPPED: Final = re.compile(b"%c" % CANCELLED)


class Choices:
    """Looks at what became of the upstream steps of a step.

    Args:
        plan: What the run consists of.
        states: The state of each step.

    Attributes:
        chosen: By step of a route that has a value, the assets that it chose.
        unrecorded: Skipped steps of which that is not recorded yet: who takes the outcome waits for the record.
    """

    __slots__ = ("_plan", "_states", "chosen", "unrecorded")

    def __init__(self, plan: RunPlan, states: bytearray) -> None:
        self._plan = plan
        self._states = states
        self.chosen: dict[int, tuple[str, ...]] = {}
        self.unrecorded: dict[int, None] = {}

    def note(self, event: StepEvent, step: int) -> bool:
        """Remember what a route chose; whether the step chose to be skipped."""
        if isinstance(event, StepSucceeded | StepReused):
            self.took(event.materialization, step)
        return isinstance(event, StepSkipped) and _chose_to_skip(event.materialization)

    def took(self, value: Materialization, step: int) -> None:
        """Remember what a route chose, from the record of its value."""
        chosen = _route_taken(value)
        if chosen is not None:
            self.chosen[step] = chosen

    def look(self, plan: AssetPlan, step: int) -> tuple[int, Sequence[int]]:
        """Where a step stands, and if it is `BLOCKED`, the steps it waits for."""
        states = self._states
        edges = self._edges(plan, step)
        # From the end: a step whose inputs are not all examined is mostly missing the last of them.
        for _, ranges in reversed(edges):
            if any(states.find(UNEXAMINED, each.start, each.stop) >= 0 for each in ranges):
                return UNEXAMINED, ()
        if self._lost(edges) is not None:
            return SKIPPED, ()
        upstream = [each for _, ranges in edges for each in ranges]
        if any(ASIDE.search(states, each.start, each.stop) for each in upstream):
            return DEFERRED, ()
        pending = [
            match.start() for each in upstream for match in PENDING.finditer(states, each.start, each.stop)
        ]
        if self.unrecorded:
            for edge, ranges in edges:
                if edge.takes == "outcome":
                    pending += [step for each in ranges for step in each if step in self.unrecorded]
        if pending:
            return BLOCKED, pending
        return (READY if self._declined(plan, edges) is None else DECLINED), ()

    def weigh(self, plan: AssetPlan, step: int) -> int:
        """What becomes of a step whose upstream steps have all ended, none with a failure that it passes on."""
        return READY if self._declined(plan, self._edges(plan, step)) is None else DECLINED

    def tolerates(self, plan: AssetPlan, step: int) -> bool:
        """Whether the steps of an asset take whatever becomes of an upstream step."""
        upstream = self._plan.of(step)
        return self._states[step] != CANCELLED and any(
            edge.takes == "outcome" and edge.upstream is upstream for edge in plan.edges
        )

    def hindrance(self, plan: AssetPlan, step: int) -> int:
        """The upstream step because of which this one is skipped; there is one."""
        edges = self._edges(plan, step)
        found = self._lost(edges)
        if found is None:
            found = self._declined(plan, edges)
        assert found is not None, f"step {step} is held up by nothing"
        return found

    def origin(self, step: int, known: Mapping[int, int]) -> int:
        """The step at the root of why another one is skipped: one that failed, that chose to be, or a route.

        What stands between them may not be examined: of steps that are skipped together, any may be the first
        on record, and a restart may come before the next.

        Args:
            step: The skipped step.
            known: The roots that are known, by step.
        """
        states = self._states
        between = (UNEXAMINED, states[step])
        stack, seen = [step], {step}
        while stack:
            at = stack.pop()
            plan = self._plan.of(at)
            edges = self._edges(plan, at)
            if states[step] == SKIPPED:
                found = self._lost(edges, FAILED)
            else:
                found = self._declined(plan, edges)
                if found is not None and states[found] == DECLINED:
                    found = known.get(found)
            if found is not None:
                return found
            for edge, ranges in edges:
                if edge.takes == "outcome":
                    continue
                near = [up for each in ranges for up in each if states[up] in between and up not in seen]
                stack += near
                seen.update(near)
        raise AssertionError(f"step {step} is skipped for no reason")

    def _edges(self, plan: AssetPlan, step: int) -> list[tuple[Edge, Sequence[range]]]:
        return [(edge, edge.numbers(step - plan.offset, plan.keys)) for edge in plan.edges]

    def _lost(self, edges: Sequence[tuple[Edge, Sequence[range]]], only: int | None = None) -> int | None:
        """The first upstream step that failed, was skipped for that, or cancelled, where that is passed on."""
        states = self._states
        for edge, ranges in edges:
            wanted = _STOPPED if edge.takes == "outcome" else DROPPED
            for each in ranges:
                if only is not None:
                    at = -1 if edge.takes == "outcome" else states.find(only, each.start, each.stop)
                    if at >= 0:
                        return at
                elif (found := wanted.search(states, each.start, each.stop)) is not None:
                    return found.start()
        return None

    def _declined(self, plan: AssetPlan, edges: Sequence[tuple[Edge, Sequence[range]]]) -> int | None:
        """The first upstream step that was skipped by choice though it is needed, or that chose others."""
        states = self._states
        for edge, ranges in edges:
            if edge.takes == "outcome" or (edge.optional and edge.takes == "value"):
                continue
            for each in ranges:
                found = states.find(DECLINED, each.start, each.stop)
                if found >= 0:
                    return found
            if edge.takes == "choice" and (chose := self._chose_others(plan.asset, ranges)) is not None:
                return chose
        return None

    def _chose_others(self, asset: str, ranges: Sequence[range]) -> int | None:
        """A step of a route, if none of these steps of it chose the asset."""
        routes = [step for each in ranges for step in each if self._states[step] in (SUCCEEDED, REUSED)]
        if not routes or any(asset in self.chosen.get(step, ()) for step in routes):
            return None
        return routes[0]


_CODE: Final[Mapping[type, int]] = {
    StepSucceeded: SUCCEEDED,
    StepFailed: FAILED,
    StepCancelled: CANCELLED,
    StepReused: REUSED,
}


def ended_as(event: StepEvent) -> int:
    """The state of a step whose end this is."""
    if isinstance(event, StepSkipped):
        return DECLINED if is_by_choice(event.materialization) else SKIPPED
    return _CODE[type(event)]


def is_tolerated(plan: RunPlan, states: bytearray) -> bool:
    """Whether no step that was asked for has failed, or was skipped because of one that has.

    Every other step is part of the run because one of them needs it, directly or not. So its failure has reached
    them, unless everything that it reached takes it as an outcome.
    """
    return plan.chooses and not any(DROPPED.search(states, steps.start, steps.stop) for steps in plan.targets)


ROUTE: Final = "route"
"""Where the metadata of a route's value says which assets it chose."""


def is_by_choice(record: Materialization) -> bool:
    """Whether a skipped step is so by choice: its own, a route's, or that of a step upstream of it."""
    return record.failure is not None and record.failure.kind == "skip"


def _chose_to_skip(record: Materialization) -> bool:
    """Whether a skipped step is so by its own choice."""
    return record.failure is not None and record.failure.kind == "skip" and record.failure.cause is None


def _route_taken(record: Materialization) -> tuple[str, ...] | None:
    """The assets that a route chose; None if the value is not that of a route."""
    chosen = record.metadata.get(ROUTE)
    return tuple(chosen) if isinstance(chosen, list | tuple) else None
