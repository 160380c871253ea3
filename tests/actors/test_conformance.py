"""OTP's table: restart x reason x strategy x shutdown, each cell against the rules in otp.py."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from flowstone.actors import Shutdown
from tests.actors.otp import CELLS, NAMED, Cell, expected, reported
from tests.actors.probes import Crash, Quit, probe


def end(root, name: str, reason: str) -> None:
    """Make a child end for this reason."""
    ref = root.child(name)
    match reason:
        case "normal":
            ref.cast(Quit())
        case "shutdown":
            ref.cast(Quit(Shutdown()))
        case "shutdown with a reason":
            ref.cast(Quit(Shutdown("done")))
        case "killed":
            ref._process.begin_stop("kill")  # What exit(Pid, kill) is in Erlang; no public call does it.
        case "crashed":
            ref.cast(Crash())


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_a_child_that_ends_has_the_effect_that_otp_says(cell: Cell, tree, clock):
    """Who is stopped, in which order and how, who is started again, and who is left for the shutdown.

    In OTP's suite: permanent_normal, permanent_shutdown, permanent_abnormal, transient_normal, transient_shutdown,
    transient_abnormal, temporary_normal, temporary_shutdown, temporary_abnormal, one_for_one, rest_for_one and
    one_for_all.
    """
    log = []
    children = [probe(name, log, restart=cell.restart, shutdown=cell.shutdown) for name in "abc"]
    async with tree(children, strategy=cell.strategy) as root:
        del log[:]
        end(root, "b", cell.reason)
        await clock.settle()
        assert log.pop(0).startswith(f"end b: {cell.reason.split()[0]}")
        alive = [info.name for info in root.tree().children if info.state == "running"]
        restarts = {info.name: info.restarts for info in root.tree().children}
    outcome = expected(cell)
    assert log == outcome
    assert alive == [entry[4] for entry in reversed(outcome[-len(alive) :])]
    for name in "abc":
        assert restarts.get(name, 0) == outcome.count(f"start {name}")


@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_an_end_is_reported_where_otp_reports_it(cell: Cell, tree, clock, reports):
    """Always that of a permanent child, be it clean; of the others only an unclean one."""
    children = [probe(name, restart=cell.restart, shutdown=cell.shutdown) for name in "abc"]
    async with tree(children, strategy=cell.strategy) as root:
        end(root, "b", cell.reason)
        await clock.settle()
        told = [(report.child, report.kind) for report in reports]
    kind = "crashed" if cell.reason in {"killed", "crashed"} else "ended"
    assert told == ([("b", kind)] if reported(cell) else [])
    assert len(reports) == len(told)


def test_the_table_is_complete():
    """The table has a cell for each combination that OTP tells apart."""
    assert len({str(cell) for cell in CELLS}) == 3 * 5 * 3 * 3


def named_in_docstrings() -> set[str]:
    """Every word in the docstring of a test of the actor core."""
    trees = (ast.parse(path.read_text()) for path in Path(__file__).parent.glob("test_*.py"))
    functions = (
        node for tree in trees for node in tree.body if getattr(node, "name", "").startswith("test_")
    )
    return {word for node in functions for word in re.findall(r"\w+", ast.get_docstring(node) or "")}


def test_every_named_case_has_a_test():
    """Each case of OTP's suite is named by the test that follows it."""
    assert set(NAMED) - named_in_docstrings() == set()


def test_the_documentation_gives_the_true_numbers():
    """So many cells, so many cases."""
    text = (Path(__file__).parents[2] / "docs" / "actors.md").read_text()
    assert f"**{len(CELLS)} of {len(CELLS)} cells**" in text
    assert f"**{len(NAMED)} of {len(NAMED)}** have a test" in text
