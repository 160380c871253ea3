"""OTP's table: restart x reason x strategy x shutdown, each cell against the rules in otp.py."""

from __future__ import annotations

import pytest

from flowstone.actors import Shutdown
from tests.actors.otp import CELLS, Cell, expected
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
    """Who is stopped, in which order and how, who is started again, and who is left for the shutdown."""
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


def test_the_table_is_complete():
    """The table has a cell for each combination that OTP tells apart."""
    assert len({str(cell) for cell in CELLS}) == 3 * 5 * 3 * 3
