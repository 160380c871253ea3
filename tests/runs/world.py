"""A world that carries out a run's commands in any order, and checks at each step what must always be true."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import strategies as st

from flowstone.runs.commands import (
    AttemptLost,
    BeginStep,
    CancelSteps,
    CheckSteps,
    FinishRun,
    ParkRun,
    RecordCancelled,
    RecordSkipped,
    RetryDue,
    RetryStep,
    StartStep,
    StepInLine,
    StepServed,
    StepsNeeded,
)
from flowstone.runs.events import StepStarted
from flowstone.runs.records import Status
from flowstone.runs.state import RunState
from flowstone.runs.step_states import SUCCEEDED, UNEXAMINED
from tests.runs.plans import (
    HandPlan,
    cancel_requested,
    cancelled,
    failed,
    released,
    retried,
    reused,
    same,
    skipped,
    started,
    succeeded,
    waiting,
    woken,
)

__all__ = ["LINKS", "Resumed", "World", "make", "plans", "snapshot"]


def make(plan: HandPlan, max_parallel: int = 4, window: int = 100) -> RunState:
    return RunState(plan, max_parallel=max_parallel, window=window)  # type: ignore[arg-type]  # structural twin


def snapshot(state: RunState) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """What replay must reproduce: terminal states, and the attempts begun by unfinished steps."""
    terminal = bytes(code if code >= SUCCEEDED else UNEXAMINED for code in state._states)
    unfinished = (step for step, code in enumerate(terminal) if code == UNEXAMINED)
    return terminal, state._attempts.unfinished(unfinished)


def same_step(one: Any, other: Any) -> bool:
    place = (other.asset, other.partition_key)
    return getattr(one, "partition_key", ...) is not ... and (one.asset, one.partition_key) == place


LOOKS_AT_ALL = 100
"""Steps in a window that is as large as any plan here."""

AHEAD = 4
"""Steps that are looked up ahead of those that are asked for."""

LINKS: dict[str, Any] = {
    "same": same,
    "all": lambda _key: list(range(6)),
    "last2": lambda key: [key - 1, key],
    "first": lambda _key: [0],
    "ends": lambda key: [key, 0, 5],
}


@st.composite
def plans(draw: st.DrawFn) -> HandPlan:
    count = draw(st.integers(1, 5))
    names = [f"n{i}" for i in range(count)]
    sizes = {name: draw(st.integers(1, 6)) for name in names}
    links: dict[str, Any] = {}
    for i, name in enumerate(names):
        for up in draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else []:
            kind = draw(st.sampled_from(sorted(LINKS)))
            choose = LINKS[kind]
            links.setdefault(name, {})[up] = choose
    refresh = {name: draw(st.sampled_from(["all", "missing"])) for name in names}
    limited = frozenset(draw(st.lists(st.sampled_from(names), unique=True)))
    plan = HandPlan(sizes, links, refresh, limited=limited)
    if draw(st.booleans()):
        plan.template = plan  # Every run of it opens as the first one.
    return plan


class World:
    """Carries out commands in whatever order hypothesis picks, and checks the invariants as it goes.

    Args:
        plan: The plan.
        max_parallel: Slots.
        window: The size of the window.
        patience: Whether waiting steps are woken only when nothing else is left to be done.
    """

    def __init__(self, plan: HandPlan, max_parallel: int, window: int, *, patience: bool = False) -> None:
        self.patience = patience
        self.waiting: dict[int, int] = {}
        self.decided: dict[int, Any] = {}
        self.denied: set[int] = set()
        self.parked = 0
        self.at_rest = False
        self.plan = plan
        self.max_parallel = max_parallel
        self.window = window
        self.state = make(plan, max_parallel, window)
        self.log: list[Any] = []
        self.running: dict[int, int] = {}
        self.asking: dict[int, int] = {}  # They have a place, and ask for slots of pools.
        self.in_line: dict[int, int] = {}
        self.served: set[int] = set()
        self.vacated: set[int] = set()  # They run no more, and how they ended is not told yet.
        self.stopping: set[int] = set()
        self.timers: list[int] = []
        self.checks: list[tuple[Any, Any]] = []
        self.answers: list[tuple[list[tuple[int, Any]], list[int]]] = []
        self.to_record: list[Any] = []
        self.ended: dict[int, Status] = {}
        self.attempts: Counter[int] = Counter()
        self.exclusive: int | None = None
        self.losses: Counter[int] = Counter()
        self.failures: Counter[int] = Counter()
        self.finish: Status | None = None
        self.cancel_asked = False
        self.take(self.state.begin())

    def take(self, commands: list[Any]) -> None:
        for command in commands:
            match command:
                case StartStep(step, attempt, exclusive, failures):
                    assert step not in self.ordered, "started while it runs"
                    assert self.exclusive is None, "started beside one that must run alone"
                    assert not (exclusive and (self.running or self.asking)), "beside others though exclusive"
                    assert failures == self.failures[step]
                    self.exclusive = step if exclusive else None
                    assert step not in self.ended, "started after its end"
                    assert attempt == self.attempts[step] + 1, "attempts are numbered without gaps"
                    assert not exclusive or self.losses[step], "exclusive without a reason"
                    for up in self.plan.upstream_steps(step):
                        assert self.ended.get(up) in (Status.SUCCEEDED, Status.REUSED), "before its inputs"
                    self.attempts[step] = attempt
                    self.asking[step] = attempt
                    if not self.is_limited(step):
                        self.begin(step)
                case BeginStep(step):
                    assert self.exclusive is None, "begun beside one that must run alone"
                    self.served.remove(step)
                    self.asking[step] = self.in_line.pop(step)
                    self.begin(step)
                case RetryStep(step, _):
                    self.timers.append(step)
                case CheckSteps(steps):
                    ahead = self.state.ahead(steps, AHEAD)
                    self.check_ahead(steps, ahead)
                    self.checks.append((steps, tuple(ahead)))
                case CancelSteps(steps):
                    assert set(steps) == self.ordered
                    self.stopping |= set(steps)
                case RecordSkipped(steps):
                    for step, cause in steps:
                        assert self.ended[cause] is Status.FAILED
                        self.to_record.append(skipped(self.plan, step))
                case RecordCancelled(steps):
                    assert self.denied >= self.ended.keys() & steps, "cancelled after its end"
                    self.to_record += [cancelled(self.plan, step) for step in steps]
                case ParkRun():
                    assert not self.at_rest, "parked twice"
                    self.parked += 1
                    self.at_rest = True
                    self.check_parked()
                case FinishRun(status):
                    assert self.finish is None
                    self.finish = status
        assert len(self.running) - len(self.vacated) + len(self.asking) <= self.max_parallel
        assert len(self.in_line) < 2 * self.max_parallel
        assert set(self.state.running) == self.ordered
        assert all(self.state.status_of(step) is Status.QUEUED for step in self.in_line)

    @property
    def ordered(self) -> set[int]:
        return {*self.running, *self.asking, *self.in_line}

    def is_limited(self, step: int) -> bool:
        return self.plan.of(step).asset in self.plan.limited

    def begin(self, step: int) -> None:
        """A step that has a place begins."""
        self.running[step] = self.asking.pop(step)
        self.log.append(started(self.plan, step, self.running[step]))

    def check_nobody_is_kept(self) -> None:
        """All that is left waits for what it needs of pools, or for what does."""
        known = self.ended.keys() | self.waiting.keys() | self.ordered
        for step in sorted(set(range(self.plan.total)) - known):
            if not self.is_limited(step):
                assert any(up not in self.ended for up in self.plan.upstream_steps(step)), f"{step} is kept"

    def check_parked(self) -> None:
        """All that can be done without the answers has been done and recorded."""
        assert self.waiting or self.decided
        assert not any((self.ordered, self.timers, self.checks, self.answers, self.to_record))
        heard = {step: status for step, status in self.ended.items() if step not in self.decided}
        for step in sorted(set(range(self.plan.total)) - {*heard, *self.waiting, *self.decided}):
            above = [heard.get(up) for up in self.plan.upstream_steps(step)]
            assert None in above, f"{step} could be done"
            assert set(above) <= {None, Status.SUCCEEDED, Status.REUSED}, f"{step} could be dropped"

    def event(self, event: Any) -> None:
        self.record(event)
        self.take(self.state.apply(event))

    def record(self, event: Any) -> int:
        """Put an event on record; returns the number of its step."""
        self.log.append(event)
        step = self.plan.number(event.asset, event.partition_key)
        assert step is not None
        if hasattr(event, "materialization"):
            assert step not in self.ended, "a second terminal record"
            self.ended[step] = event.materialization.status
        return step

    def hear_first_that_it_is_woken(self, step: int, attempt: int) -> None:
        """A step waits and is woken; the second is heard of before the first, which another node has recorded."""
        self.record(waiting(self.plan, step, attempt))
        event = woken(self.plan, step, attempt)
        self.record(event)
        self.take(self.state.apply(event))
        self.leave(step)
        self.take(self.state.apply(waiting(self.plan, step, attempt)))

    def record_unstarted(self, event: Any) -> None:
        """Record what becomes of a step that does not run; what it waited for may have been denied to it before."""
        step = self.plan.number(event.asset, event.partition_key)
        assert step is not None
        if step in self.ended:
            (recorded,) = (
                each for each in self.log if same_step(each, event) and hasattr(each, "materialization")
            )
            self.take(self.state.apply(recorded))
        else:
            self.waiting.pop(step, None)
            self.event(event)

    def begun(self) -> dict[int, int]:
        """The last attempt of each step that is on record."""
        return {
            number: event.attempt
            for event in self.log
            if isinstance(event, StepStarted)
            and (number := self.plan.number(event.asset, event.partition_key)) is not None
        }

    def moves(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = [("end", step) for step in self.running]
        found += [("begin", step) for step in self.asking if step not in self.stopping]
        found += [("join", step) for step in self.asking if step not in {*self.stopping, self.exclusive}]
        found += [("withdraw", step) for step in (self.asking | self.in_line).keys() & self.stopping]
        if self.plan.limited:
            found += [("vacate", step) for step in self.running if step not in self.vacated]
        found += [("lose", step) for step in self.running if self.attempts[step] < 6]
        found += [("timer", step) for step in self.timers]
        found += [("check", steps) for steps in self.checks]
        found += [("answer", answer) for answer in self.answers]
        found += [("record", event) for event in self.to_record]
        found += [("hear", step) for step in self.decided]
        if self.window == LOOKS_AT_ALL and self.in_line and not (found or self.served):
            self.check_nobody_is_kept()
        found += [("serve", step) for step in self.in_line.keys() - self.served - self.stopping]
        busy = any((self.ordered, self.checks, self.answers, self.to_record, self.cancel_asked))
        assert self.state.waits == (not busy and any((self.timers, self.waiting, self.decided)))
        if not found:
            assert self.at_rest == bool(self.waiting), "neither parked nor at work"
        if not found or not self.patience:
            found += [("wake", step) for step in self.waiting]
        return found

    def move(self, kind: str, what: Any, draw: Any) -> None:
        match kind:
            case "end":
                attempt = self.running[what]
                if what in self.stopping:
                    options = [cancelled, succeeded, waiting]
                else:
                    options = [succeeded, succeeded, failed] + (
                        [retried, released, waiting, waiting] if attempt < 6 else []
                    )
                ending = draw(st.sampled_from(options))
                self.failures[what] += ending is retried
                if ending is waiting and draw(st.booleans()):
                    self.hear_first_that_it_is_woken(what, attempt)
                    return
                self.leave(what)
                if ending is waiting:
                    self.waiting[what] = attempt
                self.event(ending(self.plan, what, attempt))
            case "begin" | "join" | "serve" | "withdraw" | "vacate":
                self.move_limited(kind, what)
            case "wake":
                answer = draw(st.sampled_from([woken, woken, failed]))
                event = answer(self.plan, what, self.waiting.pop(what))
                self.decided[self.record(event)] = event
                if answer is failed:
                    self.denied.add(what)
            case "hear":
                self.hear_decision(what)
            case "lose":
                attempt = self.leave(what)
                begun = draw(st.booleans())
                self.losses[what] += begun
                if not begun:
                    self.log.remove(started(self.plan, what, attempt))
                self.take(self.state.apply(AttemptLost(what, attempt, begun)))
            case "timer":
                self.timers.remove(what)
                self.take(self.state.apply(RetryDue(what)))
            case "check":
                self.checks.remove(what)
                self.look_up(*what, draw)
            case "answer":
                self.answers.remove(what)
                self.answer(*what)
            case _:
                self.to_record.remove(what)
                self.record_unstarted(what)

    def move_limited(self, kind: str, step: int) -> None:
        """What only steps do that need slots of pools."""
        match kind:
            case "begin":
                self.begin(step)
            case "join":
                self.in_line[step] = self.asking.pop(step)
                self.take(self.state.apply(StepInLine(step)))
            case "vacate":
                self.vacated.add(step)
                self.state.vacated(step)
            case "serve":
                self.served.add(step)
                self.take(self.state.apply(StepServed(step)))
            case _:
                self.served.discard(step)
                attempt = self.leave(step)
                self.event(cancelled(self.plan, step, attempt))

    def check_ahead(self, steps: Any, ahead: Any) -> None:
        """Each waits for nothing but steps that come before it."""
        before = {*steps, *self.ended}
        for step in ahead:
            assert step not in before
            assert before.issuperset(self.plan.upstream_steps(step)), "looked up before its inputs"
            before.add(step)

    def look_up(self, steps: Any, ahead: Any, draw: Any) -> None:
        """Some are reused, and of what is looked up ahead, those whose inputs are; that is recorded here."""
        found: list[tuple[int, Any]] = []
        needed: list[int] = []
        for step in (*steps, *ahead):
            if step in ahead and not all(up in self.ended for up in self.plan.upstream_steps(step)):
                continue
            if self.plan.of(step).refresh != "all" and draw(st.booleans()):
                assert step not in self.ended, "a second terminal record"
                event = reused(self.plan, step)
                self.log.append(event)
                self.ended[step] = Status.REUSED
                found.append((step, event))
            else:
                needed.append(step)
        self.answers.append((found, needed))

    def answer(self, found: list[tuple[int, Any]], needed: list[int]) -> None:
        """The state hears of what has been recorded for a while."""
        for step, event in found:
            self.state.reused(event, step)
        self.take(self.state.apply(StepsNeeded(tuple(needed))))

    def hear_decision(self, step: int) -> None:
        """The state hears what was decided about a step that waited."""
        self.at_rest = False
        self.take(self.state.apply(self.decided.pop(step)))

    def hear_answers(self) -> None:
        """The state hears of all that is on record."""
        while self.answers:
            self.answer(*self.answers.pop(0))
        for step in list(self.decided):
            self.hear_decision(step)

    def leave(self, step: int) -> int:
        """The step's attempt runs no more; returns its number."""
        if self.exclusive == step:
            self.exclusive = None
        self.vacated.discard(step)
        (attempt,) = [each.pop(step) for each in (self.running, self.asking, self.in_line) if step in each]
        return attempt

    def cancel(self) -> None:
        if not self.cancel_asked and self.finish is None:
            self.cancel_asked = True
            event = cancel_requested()
            self.log.append(event)
            self.at_rest = False
            self.take(self.state.apply(event))


class Resumed(World):
    """The world after a restart: nothing runs, what was recorded is recorded."""

    def __init__(self, before: World, state: RunState) -> None:
        self.plan = before.plan
        self.patience = before.patience
        self.waiting = dict(before.waiting)
        self.decided = {}
        self.denied = set()
        self.vacated = set()
        self.parked = 0
        self.at_rest = False
        self.max_parallel = before.max_parallel
        self.window = before.window
        self.state = state
        self.log = list(before.log)
        self.running, self.stopping, self.timers = {}, set(), []
        self.asking, self.in_line, self.served = {}, {}, set()
        self.checks, self.answers, self.to_record = [], [], []
        self.ended = dict(before.ended)
        self.attempts = Counter(before.begun())
        self.exclusive = None
        self.losses = before.losses + Counter(state.running)
        self.failures = Counter(before.failures)
        self.finish = None
        self.cancel_asked = before.cancel_asked
        self.take(state.begin())
