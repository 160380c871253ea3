"""What an interpreter need not have is not needed: without the inner parts of asyncio, tasks begin as usual.

Each part is taken away in a process of its own, before anything is imported there. `asyncio.tasks` itself uses what
is hidden from everybody else, so it is not deleted.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PARTS = ["tasks._enter_task", "tasks._leave_task", "tasks._current_tasks", "_get_running_loop"]

HIDE = """
import asyncio, sys, types

class Without(types.ModuleType):
    def __init__(self, module, hidden):
        super().__init__(module.__name__)
        self.__path__ = getattr(module, "__path__", None)
        self._module, self._hidden = module, hidden

    def __getattr__(self, name):
        if name == self._hidden:
            raise AttributeError(name)
        return getattr(self._module, name)

inner, _, name = sys.argv[1].rpartition(".")
module = sys.modules["asyncio.tasks"] if inner else asyncio
stand_in = Without(module, name)
sys.modules[module.__name__] = stand_in
if inner:
    asyncio.tasks = stand_in
else:
    asyncio = stand_in
"""


def run_without(part, program):
    """What a program prints where one part of asyncio is missing."""
    code = HIDE + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", code, part], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("part", PARTS)
def test_a_pipeline_runs_without_it(part):
    """Values, failures of user code and the running loop are what they are elsewhere."""
    assert run_without(
        part,
        """
        from flowstone import Pipeline, Runtime, RunFailed

        p = Pipeline("p")

        @p.asset
        async def one():
            return 1

        @p.asset
        async def two(one):
            await asyncio.sleep(0)
            return one + 1

        @p.asset
        def bad(two):
            raise ValueError(two)

        async def main():
            async with Runtime(p) as runtime:
                result = await runtime.materialize_all("two")
                print(await result.value())
                try:
                    await runtime.materialize_all("bad")
                except RunFailed as error:
                    print(type(error).__name__)

        asyncio.run(main())
        """,
    ) == ["2", "RunFailed"]


def test_all_steps_begin_in_one_turn_without_them():
    """As tasks do that begin in the next turn: none waits for an eager start that never comes."""
    begun, turns = run_without(
        PARTS[0],
        """
        from flowstone import Pipeline, Runtime
        from flowstone.actors import eager

        eager.BUDGET = 3600.0  # Where Python has eager tasks of its own, not all begin in one turn if it is long.
        p = Pipeline("p")
        turn, begun = 0, []

        def define(name):
            @p.asset(name=name)
            async def asset():
                begun.append(turn)

        for number in range(30):
            define(f"a{number}")

        @p.asset(deps=[f"a{number}" for number in range(30)])
        def last():
            pass

        async def count():
            global turn
            while True:
                turn += 1
                await asyncio.sleep(0)

        async def main():
            counting = asyncio.create_task(count())
            async with Runtime(p, max_concurrency=30) as runtime:
                await runtime.materialize_all("last")
            counting.cancel()

        asyncio.run(main())
        print(len(begun), max(begun) - min(begun))
        """,
    )
    assert int(begun) == 30
    assert int(turns) <= 1


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python has eager tasks of its own.")
def test_a_task_begins_in_the_next_turn_without_them():
    """A start that is asked to be eager is a plain one."""
    assert run_without(
        PARTS[0],
        """
        from flowstone.actors import TaskSupervisor

        async def work():
            return 42

        async def main():
            async with TaskSupervisor() as tasks:
                handle = tasks.start("work", work(), eager=True)
                print(handle.exit)
                await handle.down()
                print(handle.result)

        asyncio.run(main())
        """,
    ) == ["None", "42"]
