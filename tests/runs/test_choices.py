"""Random graphs whose steps fail, are skipped by choice and are routed: who runs, who not, because of whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.runs.choices import ROUTE
from flowstone.runs.commands import FinishRun, RecordSkipped, StartStep
from flowstone.runs.events import StepSkipped
from flowstone.runs.records import Failure, Status
from tests.runs.plans import HandPlan, failed, record, same, started, succeeded
from tests.runs.world import make

ENDS = ["value", "value", "value", "fail", "decline"]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[HandPlan, list[Any]]:
    """A plan of assets of one step each, and how each step ends if it runs: for a route, the assets it chooses."""
    names = [f"n{i}" for i in range(draw(st.integers(2, 8)))]
    links: dict[str, Any] = {}
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    ends: list[Any] = []
    for i, name in enumerate(names):
        for up in draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=3)) if i else []:
            links.setdefault(name, {})[up] = same
            takes = draw(st.sampled_from(["value", "value", "outcome", "choice"]))
            kinds[name, up] = {"takes": takes, "optional": takes == "value" and draw(st.booleans())}
        chosen = draw(st.lists(st.sampled_from(names), unique=True))
        ends.append(draw(st.sampled_from([*ENDS, chosen, chosen])))
    return HandPlan(dict.fromkeys(names, 1), links, kinds=kinds), ends


def model(plan: HandPlan, ends: list[Any]) -> list[tuple[str, set[int]]]:
    """What becomes of each step, and of a skipped one the steps that may be named as the cause."""
    became: list[tuple[str, set[int]]] = []
    for step, asset in enumerate(plan.assets):
        lost: set[int] = set()
        declined: set[int] = set()
        for up in plan.links.get(asset.asset, {}):
            number = plan.by_name[up].offset
            kind, (how, causes) = plan.kinds[asset.asset, up], became[number]
            if kind["takes"] == "outcome":
                continue
            if how in ("fail", "lost"):
                lost |= causes
            elif how == "decline":
                declined |= set() if kind["optional"] else causes
            elif kind["takes"] == "choice":
                chosen = ends[number] if isinstance(ends[number], list) else []
                declined |= set() if asset.asset in chosen else {number}
        if lost or declined:
            became.append(("lost", lost) if lost else ("decline", declined))
        else:
            how = "value" if isinstance(ends[step], list) else ends[step]
            became.append((how, {step}))
    return became


def end_of(plan: HandPlan, step: int, attempt: int, end: Any) -> Any:
    if end == "fail":
        return failed(plan, step, attempt)
    if end == "decline":
        said = replace(record(plan, step, Status.SKIPPED, attempt), failure=Failure("skip", "nothing"))
        return StepSkipped(said.finished_at, "run", *plan.name(step), said)
    event = succeeded(plan, step, attempt)
    metadata = {ROUTE: end if isinstance(end, list) else []}
    return replace(event, materialization=replace(event.materialization, metadata=metadata))


@settings(max_examples=300, deadline=None)
@given(graphs(), st.integers(1, 4), st.data())
def test_it_is_as_the_model_says_in_any_order_and_after_a_restart(scene, max_parallel, data):
    plan, ends = scene
    expected = model(plan, ends)
    state = make(plan, max_parallel)
    log: list[Any] = []
    ran: set[int] = set()
    causes: dict[int, tuple[int, Any]] = {}
    finished = None
    pending = state.begin()
    to_do: list[Any] = []
    while finished is None:
        for command in pending:
            match command:
                case StartStep(step, attempt):
                    log.append(started(plan, step, attempt))
                    ran.add(step)
                    to_do.append(end_of(plan, step, attempt, ends[step]))
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
        again = make(plan, max_parallel)
        for event in log:
            again.replay(event)
        assert again.snapshot()[0] == bytes(
            code
            if plan.name(step)[0] in {event.asset for event in log if hasattr(event, "materialization")}
            else 0
            for step, code in enumerate(state.snapshot()[0])
        )
        if finished is None and data.draw(st.integers(0, 9)) == 0:
            state, to_do = again, []  # Another process goes on; what was not recorded did not happen.
            pending = again.begin()
    for step, (how, allowed) in enumerate(expected):
        if step in causes:
            cause, kind = causes[step]
            assert how in ("lost", "decline")
            assert cause in allowed
            assert kind == ("dependency" if how == "lost" else "skip")
        else:
            assert step in ran
            assert allowed == {step}
    assert finished == ("failed" if any(how in ("fail", "lost") for how, _ in expected) else "succeeded")
