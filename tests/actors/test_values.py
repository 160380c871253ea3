"""The pure parts: exits, the rules of restarting, the drawing of a tree."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.actors import (
    Call,
    Cast,
    Child,
    Crashed,
    Exit,
    Killed,
    Normal,
    ProcessInfo,
    Shutdown,
    Supervisor,
    TaskSupervisor,
)
from flowstone.actors.exits import describe
from flowstone.actors.strategy import Intensity, affected, restarts
from tests.actors.probes import Add, Boom, Crash, Get, Probe, probe

ERROR = Boom("bang")


@pytest.mark.parametrize(
    ("how", "clean", "text"),
    [
        (Normal(), True, "normal"),
        (Shutdown(), True, "shutdown"),
        (Shutdown("because"), True, "shutdown"),
        (Shutdown(ERROR), True, "shutdown: Boom: bang"),
        (Killed(), False, "killed"),
        (Crashed(ERROR), False, "crashed: Boom: bang"),
    ],
)
def test_an_exit_says_whether_it_is_clean_and_what_it_is(how, clean, text):
    """In words people read in logs."""
    assert isinstance(how, Exit)
    assert how.clean is clean
    assert str(how) == text


def test_exits_are_values():
    """Equal by content, whatever the reason of a shutdown, and immutable."""
    assert Normal() == Normal()
    assert Shutdown("a") == Shutdown("b")
    assert Crashed(ERROR) == Crashed(ERROR) != Crashed(Boom("bang"))
    assert len({Normal(), Normal(), Killed()}) == 2
    with pytest.raises(FrozenInstanceError):
        Crashed(ERROR).error = None


class Unprintable(Exception):
    """Its text is an error."""

    def __str__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ValueError(), "ValueError"),
        (Unprintable(), "Unprintable (its __str__ raised KeyboardInterrupt)"),
        (ValueError("x" * 10_000), "ValueError: " + "x" * 500),
    ],
)
def test_errors_are_described_in_one_bounded_line(error, text):
    """Whatever user code put into them."""
    assert describe(error) == text
    assert repr(Crashed(error)) == f"Crashed({text})"


def test_messages_are_plain_classes():
    """Frozen, slotted, without anything of their own."""
    for message in (Get(), Add()):
        assert not hasattr(message, "__dict__")
        assert isinstance(message, Call | Cast)
        assert hash(message) == hash(type(message)())


# Rules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "failed", "group"),
    [
        ("one_for_one", "b", "b"),
        ("rest_for_one", "a", "abc"),
        ("rest_for_one", "b", "bc"),
        ("rest_for_one", "c", "c"),
        ("one_for_all", "b", "abc"),
    ],
)
def test_a_strategy_says_who_goes_along(strategy, failed, group):
    """They stop in this order, and start in the reverse one."""
    assert affected(strategy, ["a", "b", "c"], failed) == list(reversed(group))


def test_restart_types():
    """permanent: always; transient: after an unclean exit; temporary: never."""
    exits = [Normal(), Shutdown(), Killed(), Crashed(ERROR)]
    assert [restarts("permanent", how) for how in exits] == [True] * 4
    assert [restarts("transient", how) for how in exits] == [False, False, True, True]
    assert [restarts("temporary", how) for how in exits] == [False] * 4


@given(
    limit=st.integers(0, 5),
    within=st.integers(1, 10),
    gaps=st.lists(st.integers(0, 12), max_size=40),
)
def test_intensity_counts_what_lies_in_the_window(limit, within, gaps):
    """Too many is more than `limit` restarts in the last `within` seconds, edges included."""
    intensity = Intensity(limit, within)
    now, times = 0.0, []
    for gap in gaps:
        now += gap / 4
        times.append(now)
        assert intensity.allows(now) is (sum(now - time <= within for time in times) <= limit)


# Trees -----------------------------------------------------------------------------------------------------


PICTURE = """\
service  supervisor, running, rest_for_one
├─ runs  supervisor, running, one_for_one
│  └─ run-1  supervisor, running, one_for_all
│     ├─ steps  tasks, running, 1 running, 0 done
│     │  └─ orders[2025]  task, running
│     └─ coordinator  actor, running
├─ watchman  actor, running, 1 restart
└─ no  actor, ignored"""


async def test_a_tree_is_drawn_with_every_name(tree, clock):
    """The picture of a live tree."""

    async def forever():
        await asyncio.get_running_loop().create_future()

    def run():
        return Supervisor([Child("steps", TaskSupervisor), probe("coordinator")], strategy="one_for_all")

    children = [
        Child("runs", lambda: Supervisor([Child("run-1", run)])),
        probe("watchman"),
        Child("no", lambda: None),
    ]
    async with tree(children, strategy="rest_for_one", name="service") as root:
        root.child("runs").instance.child("run-1").instance.child("steps").instance.start(
            "orders[2025]", forever()
        )
        root.child("watchman").cast(Crash())
        await clock.settle()
        assert repr(root.tree()) == PICTURE
        info = root.tree()
        assert [process.name for process in info.walk()][:3] == ["service", "runs", "run-1"]
        assert info.find("coordinator").kind == "actor"
        assert info.find("nobody") is None


async def test_the_tree_is_a_snapshot(tree):
    """It does not change afterwards."""
    async with tree([probe("a")]) as root:
        before = root.tree()
        await root.stop_child("a")
        assert before.children[0].state == "running"
        assert root.tree().children[0].state == "stopped"


def test_a_supervisor_that_was_never_started_has_a_tree():
    """One line."""
    assert repr(Supervisor(name="new").tree()) == "new  supervisor, stopped, one_for_one"


def test_a_line_tells_what_is_worth_telling():
    """Restarts, waiting messages, abandoned tasks."""
    info = ProcessInfo(
        "a", "actor", "running", restarts=2, mailbox_depth=7, abandoned=("x", "y"), detail="busy"
    )
    assert repr(info) == "a  actor, running, 2 restarts, 7 waiting, busy, abandoned: x, y"


async def test_references_show_name_and_state(tree):
    """For debuggers."""
    async with tree([Child("a", Probe)]) as root:
        ref = root.child("a")
        assert repr(ref) == "<Ref a running>"
        await root.stop_child("a")
        assert repr(ref) == "<Ref a down>"
