"""`docs/lifecycle.md` lists every move of a step that the state machine makes, and no other one."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.runs import standing, starts, state, window
from flowstone.runs.commands import (
    AttemptLost,
    RecordCancelled,
    RecordSkipped,
    RetryDue,
    StartStep,
)
from flowstone.runs.events import StepSkipped
from flowstone.runs.records import Failure, Status
from flowstone.runs.state import RunState
from flowstone.runs.step_states import STATUS
from tests.lifecycle import PAGE, PICTURE, Move, moves_of
from tests.runs.plans import (
    HandPlan,
    cancel_requested,
    cancelled,
    failed,
    record,
    retried,
    reused,
    same,
    skipped,
    started,
    succeeded,
    waiting,
    woken,
)
from tests.runs.world import Resumed, World, plans

STEP = moves_of("A step")
MODULES = {module.__file__: module for module in (standing, state, starts, window)}


class Watched(bytearray):
    """The states of steps; it notes each change, and the line of the code that made it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.changes: list[tuple[int, int, int]] = []
        self.lines: set[tuple[str, int]] = set()

    def __setitem__(self, at: Any, value: Any) -> None:
        caller = sys._getframe(1)
        self.lines.add((caller.f_code.co_filename, caller.f_lineno))
        before = bytes(self)
        super().__setitem__(at, value)
        self.changes += [
            (step, old, new) for step, (old, new) in enumerate(zip(before, self, strict=True)) if old != new
        ]


class WatchedState(RunState):
    """The state machine, and every move of a step that it has made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.moves: set[Move] = set()
        self.replayed: set[Move] = set()
        self._unordered: dict[
            int, list[str]
        ] = {}  # What is ordered when the look-up that led to it has ended.

    def begin(self, kept: Any = ()) -> list[Any]:
        commands = super().begin(kept)
        self._note(None, commands)
        return commands

    def apply(self, event: Any, step: Any = None) -> list[Any]:
        commands = super().apply(event, step)
        self._note(event, commands)
        return commands

    def reused(self, event: Any, step: int) -> None:
        super().reused(event, step)
        self._unordered = self._paths()
        for before, after in pairwise(self._unordered.pop(step, [])):
            self.moves.add(Move(before, after, event.kind))

    def replay(self, event: Any) -> None:
        super().replay(event)
        for path in self._paths().values():
            self.replayed.update(Move(path[0], after, event.kind) for after in path[1:])

    def _paths(self) -> dict[int, list[str]]:
        """What every step that has changed went through since this was asked last."""
        states = self._states
        assert isinstance(states, Watched)
        changes, states.changes = states.changes, []
        paths, self._unordered = self._unordered, {}
        for step, old, new in changes:
            path = paths.setdefault(step, [str(STATUS[old])])
            if len(path) > 1 and path[-1] == "queued" and STATUS[new].terminal:
                path.pop()  # It was looked at once more on its way to its end.
            if path[-1] != STATUS[new]:
                path.append(str(STATUS[new]))
        return paths

    def _note(self, event: Any, commands: list[Any]) -> None:
        kind = getattr(event, "kind", "")
        for step, path in self._paths().items():
            if path[0] == "cancelled":
                continue  # It never was on record: what the step waited for had been denied to it before.
            for before, after in pairwise(path):
                self.moves.add(Move(before, after, self._told(step, after, kind, commands)))

    def _told(self, step: int, after: str, kind: str, commands: list[Any]) -> str:
        """The event that tells of it: what was applied, or what the driver is ordered to record."""
        if after == "running":
            assert any(isinstance(each, StartStep) and each.step == step for each in commands)
            return "step.started"
        if (after, kind) == ("queued", "step.waiting"):
            return "step.woken"  # Of which the machine has heard before.
        if kind == f"step.{after}" or not Status(after).terminal:
            return kind if kind.startswith("step.") else ""
        recorded = {
            "skipped": [each for c in commands if isinstance(c, RecordSkipped) for each, _ in c.steps],
            "cancelled": [each for c in commands if isinstance(c, RecordCancelled) for each in c.steps],
        }
        assert step in recorded[after], f"{kind} made a step {after}, and nobody is to record it"
        return f"step.{after}"


@pytest.fixture(autouse=True)
def watched(monkeypatch):
    """Every state machine of these tests is watched."""
    monkeypatch.setattr(standing, "bytearray", Watched, raising=False)
    monkeypatch.setattr("tests.runs.world.RunState", WatchedState)


def machine(plan: HandPlan, *events: Any, replayed: tuple[Any, ...] = ()) -> set[Move]:
    """The moves of a run in which this happens."""
    run = WatchedState(plan, max_parallel=4, window=100)  # type: ignore[arg-type]  # structural twin
    for event in replayed:
        run.replay(event)
    run.begin()
    for event in events:
        run.apply(event)
    return run.moves


ONE = HandPlan({"a": 1})
TWO = HandPlan({"a": 1, "b": 1}, {"b": {"a": same}})
OLD = HandPlan({"a": 1}, refresh={"a": "missing"})


def by_choice(plan: HandPlan, step: int, attempt: int) -> StepSkipped:
    said = replace(record(plan, step, Status.SKIPPED, attempt), failure=Failure("skip", "no data"))
    return StepSkipped(said.finished_at, "run", *plan.name(step), said)


SCENES = {
    "queued to running by step.started": lambda: machine(ONE),
    "queued to reused by step.reused": lambda: machine(OLD, reused(OLD, 0)),
    "queued to skipped by step.skipped": lambda: machine(TWO, failed(TWO, 0, 1)),
    "queued to cancelled by step.cancelled": lambda: machine(TWO, cancel_requested()),
    "running to succeeded by step.succeeded": lambda: machine(ONE, succeeded(ONE, 0, 1)),
    "running to failed by step.failed": lambda: machine(ONE, failed(ONE, 0, 1)),
    "running to skipped by step.skipped": lambda: machine(ONE, by_choice(ONE, 0, 1)),
    "running to cancelled by step.cancelled": lambda: machine(ONE, cancel_requested(), cancelled(ONE, 0, 1)),
    "running to waiting by step.retried": lambda: machine(ONE, retried(ONE, 0, 1)),
    "running to waiting by step.waiting": lambda: machine(ONE, waiting(ONE, 0, 1)),
    "running to queued": lambda: machine(ONE, AttemptLost(0, 1)),
    "waiting to queued": lambda: machine(ONE, retried(ONE, 0, 1), RetryDue(0)),
    "waiting to queued by step.woken": lambda: machine(ONE, waiting(ONE, 0, 1), woken(ONE, 0, 1)),
    "waiting to failed by step.failed": lambda: machine(ONE, waiting(ONE, 0, 1), failed(ONE, 0, 1)),
    "waiting to cancelled by step.cancelled": lambda: machine(ONE, waiting(ONE, 0, 1), cancel_requested()),
}
"""What makes each move."""

UNPLANNED = {"queued to failed by step.failed"}
"""Moves of steps of which no machine is made; `tests/flow/test_moves.py` makes them."""


@pytest.mark.parametrize("move", STEP, ids=str)
def test_every_move_of_a_step_that_is_listed_is_made(move):
    """By what the page says tells of it."""
    if str(move) not in UNPLANNED:
        assert move in SCENES[str(move)]()


def test_no_scene_is_about_a_move_that_is_not_listed():
    """And each is listed once."""
    assert sorted(map(str, STEP)) == sorted(SCENES.keys() | UNPLANNED)


RESTARTS = {
    "lost with its process": ((started(ONE, 0, 1),), Move("running", "queued", "")),
    "between two attempts": ((started(ONE, 0, 1), retried(ONE, 0, 1)), Move("waiting", "queued", "")),
    "to be cancelled": (
        (started(ONE, 0, 1), cancel_requested()),
        Move("running", "cancelled", "step.cancelled"),
    ),
}


@pytest.mark.parametrize("name", RESTARTS)
def test_who_takes_a_run_over_makes_the_same_moves(name):
    """What was in flight is queued again, or ends."""
    log, move = RESTARTS[name]
    assert move in machine(ONE, replayed=log)


@settings(max_examples=100, derandomize=True)
@given(st.data(), plans(), st.integers(1, 4), st.sampled_from([1, 2, 100]), st.booleans())
def explore(
    seen: set[Any], data: st.DataObject, plan: HandPlan, slots: int, size: int, patience: bool
) -> None:
    """Whatever happens in whatever order, with a cancel or none, and a restart or none."""
    world = World(plan, slots, size, patience=patience)
    cancel_at, stop_at = data.draw(st.integers(0, 30)), data.draw(st.integers(0, 60))
    worlds = [world]
    for turn in range(1000):
        if world.finish is not None:
            break
        if turn == cancel_at:
            world.cancel()
        if turn == stop_at:
            again = WatchedState(plan, max_parallel=slots, window=size)  # type: ignore[arg-type]  # structural twin
            for event in world.log:
                again.replay(event)
            world = Resumed(world, again)
            worlds.append(world)
        if moves := world.moves():
            world.move(*data.draw(st.sampled_from(moves)), data.draw)
    for each in worlds:
        assert isinstance(each.state, WatchedState)
        assert isinstance(each.state._states, Watched)
        seen |= each.state.moves | each.state._states.lines
        seen |= {("replayed", *move) for move in each.state.replayed}


@pytest.fixture(scope="module")
def explored():
    """The moves, the lines that made them, and what was replayed, in many random runs and in all scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standing, "bytearray", Watched, raising=False)
        patch.setattr("tests.runs.world.RunState", WatchedState)
        seen: set[Any] = set()
        explore(seen)
        return seen


def test_no_move_is_made_that_is_not_listed(explored):
    """In many runs of random graphs."""
    made = {move for move in explored if isinstance(move, Move)}
    assert sorted(map(str, made - set(STEP))) == []
    assert len(made) > 10


def test_what_was_recorded_leads_to_where_the_page_says(explored):
    """A replay may pass over what nobody recorded, such as the end of a delay; it leads nowhere else."""
    listed = {(move.before, move.after) for move in STEP}
    for _, before, after, kind in (each for each in explored if each[0] == "replayed"):
        last = {move.before for move in STEP if (move.after, move.told) == (after, kind)}
        reached = {before}
        while more := {to for at, to in listed if at in reached} - reached:
            reached |= more
        assert last & reached, f"{kind} led from {before} to {after}"


def test_every_line_that_changes_a_state_was_seen_to_do_so(explored):
    """So nothing that the machine can do with a step has been left out above."""
    lines = {each for each in explored if each[0] in MODULES}
    row, opened = HandPlan({"a": 3, "b": 3}, {"b": {"a": same}}), HandPlan({"a": 1})
    opened.template = opened
    answered = (started(ONE, 0, 1), waiting(ONE, 0, 1), woken(ONE, 0, 1))
    seldom = ((row, (), ()), (opened, (), ()), (opened, (), ()), (ONE, answered, ()))
    for plan, log, events in (
        *seldom,
        (TWO, (), [succeeded(TWO, 0, 1)]),
    ):  # Random runs may do none of these.
        run = WatchedState(plan, max_parallel=1, window=100)  # type: ignore[arg-type]  # structural twin
        for event in log:
            run.replay(event)
        run.begin()
        for event in events:
            run.apply(event)
        assert isinstance(run._states, Watched)
        lines |= run._states.lines
    unseen = []
    for path, module in MODULES.items():
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Assign) and any(map(is_state, node.targets)):
                seen = any((path, line) in lines for line in range(node.lineno, node.end_lineno + 1))
                unseen += [] if seen else [f"{module.__name__}:{node.lineno}"]
    assert unseen == []


def is_state(target: ast.expr) -> bool:
    """Whether a target of an assignment is a step's state."""
    return isinstance(target, ast.Subscript) and ast.unparse(target.value) in {"states", "self._states"}


def test_the_page_has_every_status():
    """A step or a run has each of them but `never`, which is said of an asset that has no value."""
    run = moves_of("A run")
    assert {move.after for move in [*STEP, *run]} == {str(each) for each in Status} - {"never"}
    assert "`never`" in PAGE.read_text()
    for move in [*STEP, *run]:
        assert not (move.before and Status(move.before).terminal), f"{move.before} is never left"


@pytest.mark.parametrize("section", ["A step", "A run"])
def test_the_picture_has_an_arrow_for_each_move(section):
    """And no other one: each arrow says which of them it is."""
    drawn = re.findall(rf'data-move="{section}: (\w+) (\w+)"', PICTURE.read_text())
    assert sorted(drawn) == sorted({(move.before, move.after) for move in moves_of(section)})


def test_skips_are_recorded_before_they_are_told():
    """The record of a skip is an order of the machine, and its confirmation moves nothing."""
    run = WatchedState(TWO, max_parallel=1, window=100)  # type: ignore[arg-type]  # structural twin
    run.begin()
    run.apply(failed(TWO, 0, 1))
    before = set(run.moves)
    run.apply(skipped(TWO, 1))
    assert run.moves == before
