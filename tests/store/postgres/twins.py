"""Two nodes that do each thing twice: on Postgres, and on the double that tests and the simulation use.

A state machine that is `Twins` calls both with `both`, which compares what they answer and what nodes hear of it.
Instants that a store chose are all alike here: that they differ is no difference.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime

import asyncpg
from hypothesis.stateful import RuleBasedStateMachine

from flowstone import errors
from flowstone.actors import SystemClock
from flowstone.runs.waits import Wait
from flowstone.store.cluster import Node, Notification
from flowstone.store.postgres import PostgresStore
from flowstone.store.protocol import StaleWrite
from tests.store.postgres.test_postgres_model import empty
from tests.store.shared_memory import SharedMemory

NODES = ["n1", "n2"]
PIPELINES = ["sales", "other"]
RUNS = ["run-1", "run-2", "run-3", "run-4", "run-5"]
PAST, FUTURE = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
LONG = 1_000_000.0  # Seconds: no node of this test dies.
REFUSALS = (StaleWrite, errors.RunNotFound, errors.WaitsForItself)
SOME_TIME = "some time"
WRITTEN_TIME = re.compile(r"\b20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d\b")


def alike(answer):
    """An answer in which all instants that a store chose are the same."""
    if isinstance(answer, datetime):
        return SOME_TIME if answer.year > 2025 and answer != FUTURE else answer
    if isinstance(answer, str):
        return WRITTEN_TIME.sub(SOME_TIME, answer)  # The message of a failure.
    if is_dataclass(answer) and not isinstance(answer, type):
        told = (each.name for each in fields(answer) if not _is_number_of(answer, each.name))
        return (type(answer).__name__, *(alike(getattr(answer, name)) for name in told))
    if isinstance(answer, dict):
        return {key: alike(value) for key, value in answer.items()}
    if isinstance(answer, (list, tuple, set)) or type(answer).__name__ == "StepRows":
        return [alike(each) for each in answer]
    return answer


def _is_number_of(answer, name):
    """Whether this is a number that a store has given: only the order of these says anything."""
    return isinstance(answer, Wait) and name == "arrival"


class Twin:
    """A node, on both."""

    def __init__(self, name, real, double):
        self.name = name
        self.real = real
        self.double = double
        self.fence = 0
        self.numbers = iter(range(1, 1_000_000))


class Twins(RuleBasedStateMachine):
    """Both get every call, by the same node.

    Attributes:
        given: Ids of runs that there are, or were: none is given to another one.
        calls: The callers that have not left, each with its run.
    """

    dsn = ""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = ExitStack()
        self.heard = ([], [])
        self.marks = iter(range(1_000_000))
        self.twins = {}
        self.given = set()
        self.calls = []
        self.world = time.monotonic_ns()  # Duties of earlier worlds are not forgotten.
        self.do(self._open())

    async def _open(self):
        await empty(self.dsn)
        self.shared = SharedMemory(SystemClock())
        for name in NODES:
            real, double = PostgresStore(self.dsn), self.shared.connect()
            await real.open()
            about = Node(name, "h", 1, "1", tuple(PIPELINES), 8, LONG)
            for store in (real, double):
                await store.cluster.join(about, lambda: None)
                await store.cluster.pools.define(name, [("v", 1), ("w", 2)])
            real.cluster.heartbeat.paused.set()
            double._stop_beating()
            self.twins[name] = Twin(name, real, double)
        for heard, store in zip(self.heard, (real, double), strict=True):
            self.stack.enter_context(store.cluster.watch(heard.append))

    def teardown(self):
        self.stack.close()
        for twin in self.twins.values():
            self.do(twin.real.close())
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def do(self, call):
        return self.loop.run_until_complete(call)

    def both(self, node, call, *, ordered=True):
        """Each does it, or refuses to; what they answer, and what nodes hear of it, is the same."""
        twin = self.twins[node]
        answers = [self.do(self._answer(call(store))) for store in (twin.real, twin.double)]
        real, double = (alike(answer) for answer in answers)
        if not ordered and not isinstance(real, str):
            real, double = sorted(real, key=str), sorted(double, key=str)
        assert double == real, f"the double says\n{double}\nPostgres\n{real}"
        heard = self.do(self._news())
        assert heard[1] == heard[0], f"of the double is heard\n{heard[1]}\nof Postgres\n{heard[0]}"
        self.given |= {run_id for run_id in RUNS if self.shared.history.find(run_id) is not None}
        return answers[0]

    async def _answer(self, call):
        try:
            return await call
        except REFUSALS as refusal:
            return type(refusal).__name__

    async def _news(self):
        """What nodes heard since the last time, on each side."""
        mark = Notification("tree", f"mark-{next(self.marks)}")
        twin = self.twins[NODES[-1]]
        news = []
        for heard, store in zip(self.heard, (twin.real, twin.double), strict=True):
            await store.cluster.tell(mark)
            while mark not in heard:
                await asyncio.sleep(0)
            news.append({told for told in heard if told.kind not in {"look", "tree"}})
            heard.clear()
        return news

    def may_create(self, run_id):
        """Whether this may be the id of a run that is asked for: those of forgotten ones are not given again."""
        return run_id not in self.given or self.shared.history.find(run_id) is not None

    def fresh_ids(self):
        """Ids of runs that there were not yet."""
        return iter([run_id for run_id in RUNS if run_id not in self.given])

    def sql(self, statement, *arguments):
        """Change the database behind the store's back."""

        async def execute():
            connection = await asyncpg.connect(self.dsn)
            await connection.execute(statement, *arguments)
            await connection.close()

        self.do(execute())
