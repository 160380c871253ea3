"""What the callers of one process write into a journal."""

from __future__ import annotations

from flowstone.runs.records import Status
from flowstone.store.callers import Caller
from flowstone.store.history import History
from flowstone.store.memory_callers import MemoryCallers
from tests.store.callers_contract import asked
from tests.store.facts import over


async def test_a_run_that_has_ended_stands_in_no_later_line():
    """What is about to be cancelled is named with what is decided upon it, until it has ended."""
    history, lines = History(), []

    async def change(operation, apply):
        lines.append(operation)
        return apply()

    async def settled(): ...

    callers = MemoryCallers(lambda: history, change, settled)
    names = [f"run-{number:03}" for number in range(200)]
    for name in names:
        caller = Caller(name, "n1", cancels=True)
        assert await callers.create(asked(name), caller) == name
        assert await callers.leave(name, caller) == "unwanted"
        history.write(over(name, Status.CANCELLED), 0)
    assert [line[2] for line in lines] == [[]] * 200
    assert await callers.create(asked("run-a"), Caller("run-a", "n1", cancels=True)) == "run-a"
    await callers.leave("run-a", Caller("run-a", "n1", cancels=True))
    assert await callers.create(asked("run-b"), Caller("run-b", "n1")) == "run-b"
    assert lines[-1][2] == ["run-a"]
