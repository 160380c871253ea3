"""Random graphs whose steps fail, are skipped by choice and are routed: who runs, who not, because of whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runs.choices import ROUTE
from flowstone.runs.commands import FinishRun, RecordSkipped, StartStep
from flowstone.runs.events import StepSkipped, StepWaiting
from flowstone.runs.records import Failure, Status
from tests.runs.plans import HandPlan, failed, record, same, skipped, started, succeeded, waiting, woken
from tests.runs.world import LINKS, make, snapshot

ENDS = ["value", "value", "value", "fail", "decline"]
ONE = {"same": same, "first": lambda _key: [0], "before": lambda key: [key - 1]}
"""Links to one step at most, as an outcome needs them."""


@st.composite
def graphs(draw: st.DrawFn, most: int = 3) -> tuple[HandPlan, list[Any]]:
    """A plan of assets, and how each step ends if it runs: for a step of a route, the assets it chooses."""
    names = [f"n{i}" for i in range(draw(st.integers(2, 8 if most == 1 else 6)))]
    sizes = {name: draw(st.integers(1, most)) for name in names}
    links: dict[str, Any] = {}
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    ends: list[Any] = []
    for i, name in enumerate(names):
        for up in draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=3)) if i else []:
            takes = draw(st.sampled_from(["value", "value", "outcome", "choice"]))
            links.setdefault(name, {})[up] = _link(draw, ONE if takes == "outcome" else ONE | LINKS, most)
            kinds[name, up] = {"takes": takes, "optional": takes != "outcome" and draw(st.booleans())}
        if sizes[name] > 1 and draw(st.booleans()):
            links.setdefault(name, {})[name] = ONE["before"]
            kinds[name, name] = {
                "takes": draw(st.sampled_from(["value", "outcome"])),
                "optional": draw(st.booleans()),
            }
        for _ in range(sizes[name]):
            chosen = draw(st.lists(st.sampled_from(names), unique=True))
            ends.append(draw(st.sampled_from([*ENDS, chosen, chosen])))
    also = frozenset(draw(st.sets(st.integers(0, len(ends) - 1), max_size=2)))
    return HandPlan(sizes, links, kinds=kinds, also=also), ends


def _link(draw: st.DrawFn, links: dict[str, Any], most: int) -> Any:
    return same if most == 1 else links[draw(st.sampled_from(sorted(links)))]


def model(plan: HandPlan, ends: list[Any]) -> list[tuple[str, set[int]]]:
    """What becomes of each step, and of a skipped one the steps that may be named as the cause."""
    became: list[tuple[str, set[int]]] = []
    for step in range(plan.total):
        lost: set[int] = set()
        declined: set[int] = set()
        for asset, kind, above in edges(plan, step):
            if kind["takes"] == "outcome":
                continue
            ways = [became[up] for up in above]
            lost |= {cause for how, causes in ways if how in ("fail", "lost") for cause in causes}
            if kind["takes"] == "choice" or not kind["optional"]:
                declined |= {cause for how, causes in ways if how == "decline" for cause in causes}
            if kind["takes"] == "choice":
                routes = {up for up in above if became[up][0] == "value"}
                if routes and not any(isinstance(ends[up], list) and asset in ends[up] for up in routes):
                    declined |= routes
        if lost or declined:
            became.append(("lost", lost) if lost else ("decline", declined))
        else:
            how = "value" if isinstance(ends[step], list) else ends[step]
            became.append((how, {step}))
    return became


def edges(plan: HandPlan, step: int) -> list[tuple[str, dict[str, Any], list[int]]]:
    """The dependencies of a step: its asset, what it takes, and the upstream steps."""
    asset = plan.of(step)
    return [
        (
            asset.asset,
            {"takes": edge.takes, "optional": edge.optional},
            [number for numbers in edge.numbers(step - asset.offset, asset.keys) for number in numbers],
        )
        for edge in asset.edges
    ]


def is_tolerated(plan: HandPlan, step: int) -> bool:
    """Whether all that a failure of the step reaches takes it as an outcome, and it reaches anything."""
    takers = [
        (other, kind["takes"])
        for other in range(plan.total)
        for _, kind, above in edges(plan, other)
        if step in above
    ]
    asked = any(step in steps for steps in plan.targets)
    return (
        not asked
        and bool(takers)
        and all(takes == "outcome" or is_tolerated(plan, taker) for taker, takes in takers)
    )


def end_of(plan: HandPlan, step: int, attempt: int, end: Any) -> Any:
    if end == "fail":
        return failed(plan, step, attempt)
    if end == "decline":
        said = replace(record(plan, step, Status.SKIPPED, attempt), failure=Failure("skip", "nothing"))
        return StepSkipped(said.finished_at, "run", *plan.name(step), said)
    event = succeeded(plan, step, attempt)
    metadata = {ROUTE: end if isinstance(end, list) else []}
    return replace(event, materialization=replace(event.materialization, metadata=metadata))


def assert_inputs_ended(plan: HandPlan, commands: Any, recorded: set[Any], causes: Any) -> None:
    """All that the steps need which are started has ended; of what they take the outcome of, that is on record."""
    orders = [command for command in commands if isinstance(command, RecordSkipped)]
    skipped = [*causes, *(step for order in orders for step, _ in order.steps)]
    over = recorded.union(map(plan.name, skipped))
    for command in commands:
        if isinstance(command, StartStep):
            for _, kind, above in edges(plan, command.step):
                needed = recorded if kind["takes"] == "outcome" else over
                assert needed.issuperset(map(plan.name, above))


def wakes(plan: HandPlan, event: Any) -> Any:
    """What lets a step go on that waits."""
    step = next(each for each in range(plan.total) if plan.name(each) == (event.asset, event.partition_key))
    return woken(plan, step, event.attempt)


def wakes_of(plan: HandPlan, log: list[Any]) -> list[Any]:
    """The same of all steps that wait after all this."""
    last = {(event.asset, event.partition_key): event for event in log}
    return [wakes(plan, event) for event in last.values() if isinstance(event, StepWaiting)]


def assert_as_expected(plan: HandPlan, expected: Any, ran: set[int], causes: Any, finished: Any) -> None:
    for step, (how, allowed) in enumerate(expected):
        if step in causes:
            cause, kind = causes[step]
            assert how in ("lost", "decline")
            assert cause in allowed
            assert kind == ("dependency" if how == "lost" else "skip")
        else:
            assert step in ran
            assert allowed == {step}
    lost = [step for step, (how, _) in enumerate(expected) if how in ("fail", "lost")]
    tolerated = all(is_tolerated(plan, step) for step in lost)
    assert finished == ("succeeded" if tolerated else "failed")


@given(st.one_of(graphs(1), graphs(3)), st.integers(1, 4), st.sampled_from([2, 100]), st.data())
def test_it_is_as_the_model_says_in_any_order_and_after_a_restart(scene, max_parallel, window, data):
    """Steps may wait for somebody else first; and none starts before all that it needs is on record."""
    plan, ends = scene
    expected = model(plan, ends)
    state = make(plan, max_parallel, window)
    log: list[Any] = []
    ran: set[int] = set()
    causes: dict[int, tuple[int, Any]] = {}
    finished = None
    pending = state.begin()
    to_do: list[Any] = []
    ended: set[tuple[str, str | None]] = set()
    while finished is None:
        assert_inputs_ended(plan, pending, ended, causes)
        for command in pending:
            match command:
                case StartStep(step, attempt):
                    log.append(started(plan, step, attempt))
                    ran.add(step)
                    waits = attempt == 1 and data.draw(st.integers(0, 3)) == 0
                    to_do.append(waiting(plan, step, 1) if waits else end_of(plan, step, attempt, ends[step]))
                case RecordSkipped(steps):
                    for step, cause in steps:
                        kind = "dependency" if expected[cause][0] == "fail" else "skip"
                        said = record(plan, step, Status.SKIPPED)
                        said = replace(said, failure=Failure(kind, "because", cause=str(cause)))
                        causes[step] = cause, kind
                        to_do.append(StepSkipped(said.finished_at, "run", *plan.name(step), said))
                case FinishRun(status):
                    finished = status
        if finished is None:
            event = to_do.pop(data.draw(st.integers(0, len(to_do) - 1)))
            log.append(event)
            pending = state.apply(event)
            if isinstance(event, StepWaiting):
                to_do.append(wakes(plan, event))
        again = make(plan, max_parallel, window)
        for event in log:
            again.replay(event)
        ended = {(event.asset, event.partition_key) for event in log if hasattr(event, "materialization")}
        codes = zip(snapshot(again)[0], snapshot(state)[0], strict=True)
        assert all(before == now for step, (before, now) in enumerate(codes) if plan.name(step) in ended)
        if finished is None and data.draw(st.integers(0, 9)) == 0:
            # Another process goes on; what was not recorded did not happen.
            state, to_do = again, wakes_of(plan, log)
            pending = again.begin()
    assert_as_expected(plan, expected, ran, causes, finished)


def test_a_step_that_is_blocked_anew_does_not_start_before_its_inputs():
    """It takes the outcome of a skipped step whose record is under way, and an input that waits and is woken."""
    links = {"lost": {"failing": same}, "last": {"input": same, "lost": same}}
    plan = HandPlan(
        dict.fromkeys(["failing", "lost", "input", "last"], 1),
        links,
        kinds={
            ("lost", "failing"): {"takes": "value", "optional": False},
            ("last", "input"): {"takes": "value", "optional": False},
            ("last", "lost"): {"takes": "outcome", "optional": False},
        },
    )
    state = make(plan, 4, 100)
    state.begin()
    (order,) = state.apply(failed(plan, 0, 1))
    assert isinstance(order, RecordSkipped)
    state.apply(waiting(plan, 2, 1))
    (again,) = state.apply(woken(plan, 2, 1))
    assert again.step == 2
    assert not state.apply(skipped(plan, 1))
    (last,) = state.apply(succeeded(plan, 2, 2))
    assert last.step == 3
