"""What does not work at present of the automations that this node drives, for `health()`.

It is what their records say, so that it is known again when the process starts anew or another node takes over, and
not known any more to a node that has handed them over. What people have paused is no problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.counting import count

if TYPE_CHECKING:
    from flowstone.runs.automation import AutomationRecord
    from flowstone.runtime.context import RuntimeContext

__all__ = [
    "ListenerProblems",
    "forget_problem",
    "forget_problems_of_others",
    "problem_of",
    "subject",
    "tell_problem",
]


def subject(kind: str, name: str = "") -> str:
    """What an automation is called in health and in the log; without a name: what is one for all of them."""
    return f"{kind} {name}" if name else kind


def problem_of(record: AutomationRecord) -> str:
    """What does not work of an automation; empty if it works, or is paused by somebody."""
    failure = record.failure
    by_somebody = record.paused and (record.pausing is None or record.pausing.by is not None)
    if failure is None or record.gone_at is not None or by_somebody:
        return ""
    if not record.failures:
        return f"it is paused: {failure.message}" if record.paused else ""
    often = "" if record.failures == 1 else f" {count(record.failures, 'time')} in a row"
    return f"it failed{often}{' and is paused' if record.paused else ''}: {failure.message}"


def tell_problem(ctx: RuntimeContext, record: AutomationRecord) -> None:
    """Have health say what is so of an automation that this node drives, as its record has it."""
    known = ctx.snapshot.automations.get(record.name)
    problem = problem_of(record)
    if problem and known is not None and known[0] == record.pipeline and known[1].kind == record.kind:
        ctx.automation_problems[subject(record.kind, record.name)] = problem
    else:
        forget_problem(ctx, record.kind, record.name)


def forget_problem(ctx: RuntimeContext, kind: str, name: str = "") -> None:
    """It works, or is not this node's any more."""
    ctx.automation_problems.pop(subject(kind, name), None)


def forget_problems_of_others(ctx: RuntimeContext) -> None:
    """Forget what was wrong with automations that are not defined any more."""
    defined = {subject(each.kind, name) for name, (_, each) in ctx.snapshot.automations.items()}
    for known in [known for known in ctx.automation_problems if known not in defined]:
        del ctx.automation_problems[known]


class ListenerProblems:
    """What does not work of a listener, which is no record's: each until it is said to be over, by an empty text.

    Args:
        ctx: What the runtime offers.
        name: The listener's name.
    """

    def __init__(self, ctx: RuntimeContext, name: str) -> None:
        self._ctx = ctx
        self._name = name
        self._slow = self._failing = ""

    @property
    def slow(self) -> str:
        """What is said of calls that take too long."""
        return self._slow

    @slow.setter
    def slow(self, text: str) -> None:
        self._slow = text
        self._tell()

    @property
    def failing(self) -> str:
        """What is said of calls that fail."""
        return self._failing

    @failing.setter
    def failing(self, text: str) -> None:
        self._failing = text
        self._tell()

    def _tell(self) -> None:
        if problem := "; ".join(filter(None, (self._failing, self._slow))):
            self._ctx.automation_problems[subject("listener", self._name)] = problem
        else:
            forget_problem(self._ctx, "listener", self._name)
