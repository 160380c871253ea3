"""Any order of calls by two nodes: the double that tests and the simulation use answers as Postgres does.

Each rule makes one call on both, compares the answers or the refusals and what nodes hear of it, and then
everything that anybody can ask. Instants that a store chose are all alike here: that they differ is no difference.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from flowstone.runs.audit import Act
from flowstone.runs.events import (
    RunCancelRequested,
    RunWaiting,
    StepKept,
    StepRetried,
    StepTokenIssued,
    StepWaiting,
    StepWoken,
)
from flowstone.runs.items import ItemRow
from flowstone.runs.records import Status
from flowstone.runs.waits import wait_id
from flowstone.store.cluster import Node, StepLease
from flowstone.store.pools import Claim
from flowstone.store.rates import Wanted
from tests.postgres import fresh_database
from tests.store.facts import FAILURE, at, begun, end, over, run, start
from tests.store.postgres.automation_rules import AutomationRules, known_of_automations
from tests.store.postgres.caller_rules import CallerRules, known_of_callers
from tests.store.postgres.delivery_rules import DeliveryRules, known_of_deliveries
from tests.store.postgres.twins import FUTURE, LONG, NODES, PAST, PIPELINES, RUNS, Twins, alike

STEPS = [("a", None), ("b", "s:x")]
NAMES = ["go", "nap"]
POOLS = ["v", "w"]
END = Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.REUSED, Status.SKIPPED

run_ids = st.sampled_from(RUNS)
steps = st.sampled_from(STEPS)
nodes = st.sampled_from(NODES)
names = st.sampled_from(NAMES)
attempts = st.integers(1, 3)
pipelines = st.sampled_from([PIPELINES, PIPELINES, ["sales"], ["other"], []])
askers = st.sampled_from([None, "ada", "bob"])
acts = st.sampled_from([None, Act(at(9), "ada", "why"), Act(at(9))])
few_runs = st.lists(run_ids, max_size=2, unique=True)


@st.composite
def events(draw, run_id):
    """An event of a run that one of its steps, or its owner, may record."""
    asset, key = draw(steps)
    attempt = draw(attempts)
    said = (at(2), run_id, asset, key, attempt)
    where = {"run_id": run_id, "attempt": attempt}
    match draw(st.sampled_from(["start", "end", "end", "wait", "wait", "once", "run", "finish"])):
        case "start":
            return start(asset, key, node=draw(st.sampled_from([None, *NODES])), **where)
        case "end":
            inputs = draw(st.lists(steps, max_size=2))
            return end(asset, key, status=draw(st.sampled_from(END)), inputs=inputs, **where)
        case "wait":
            return draw(waits(said))
        case "once":
            hashed = f"{run_id}{asset}{draw(names)}"
            kept = StepKept(*said, "done", draw(st.integers(0, 2)))
            return draw(
                st.sampled_from([kept, StepRetried(*said, FAILURE, 0.5), issued(said, draw(names), hashed)])
            )
        case "run":
            parked = RunWaiting(at(3), run_id, "report", draw(st.integers(0, 2)), draw(timeouts))
            why = (
                draw(st.sampled_from(["enough", "asked"])),
                draw(askers),
                draw(st.sampled_from(["", "slow"])),
            )
            asked = RunCancelRequested(at(3), run_id, "report", *why)
            return draw(
                st.sampled_from([begun(run_id, draw(attempts)), begun(run_id), parked, parked, asked])
            )
    return over(run_id, draw(st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])))


timeouts = st.sampled_from([None, LONG, -1.0])


def issued(said, name, hashed):
    """A token is handed out."""
    return StepTokenIssued(*said, name, hashed)


@st.composite
def waits(draw, said):
    """A step comes to wait, or is woken."""
    name, kind = draw(names), draw(st.sampled_from(["approval", "signal", "sleep"]))
    if draw(st.integers(0, 5)) == 0:
        return StepWoken(*said, name)
    deadline, timeout = draw(st.sampled_from([None, PAST, FUTURE])), draw(timeouts)
    about = None
    if kind == "approval":
        about = {"message": "?", "on_timeout": draw(st.sampled_from(["fail", "reject", "approve"]))}
    known_by = wait_id(said[1], said[2], said[3], name) if kind == "approval" else ""
    return StepWaiting(*said, name, kind, deadline, timeout, known_by, about)


class SharedModel(CallerRules, AutomationRules, DeliveryRules, Twins):
    """Both get every call, by the same node."""

    # Runs ---------------------------------------------------------------------------------------------------

    @initialize()
    def first_run(self):
        self.both("n1", lambda store: store.cluster.submit(run("run-1")))
        self.automate()

    @rule(
        node=nodes,
        run_id=run_ids,
        pipeline=st.sampled_from(PIPELINES),
        key=st.sampled_from([None, None, "k"]),
        priority=st.integers(0, 2),
        by=askers,
    )
    def submit(self, node, run_id, pipeline, key, priority, by):
        new = run(run_id, pipeline=pipeline, key=key, priority=priority)
        new = replace(new, request=replace(new.request, by=by))
        if self.may_create(run_id):
            self.both(node, lambda store: store.cluster.submit(new))

    @rule(
        node=nodes,
        run_id=run_ids,
        owner=st.sampled_from([None, "n1", "n2", "gone"]),
        key=st.sampled_from([None, "k"]),
    )
    def create(self, node, run_id, owner, key):
        new = run(run_id, owner=owner, key=key)
        if self.may_create(run_id):
            self.both(node, lambda store: store.create_run(new))

    @rule(node=nodes, some=pipelines, limit=st.integers(0, 3), but=few_runs)
    def take(self, node, some, limit, but):
        self.both(node, lambda store: store.cluster.take(node, some, limit, but=but))

    @rule(node=nodes, some=pipelines, limit=st.integers(1, 3))
    def take_and_begin(self, node, some, limit):
        """What a worker does."""
        for record in self.both(node, lambda store: store.cluster.take(node, some, limit)):
            self.both(node, lambda store, record=record: store.write(begun(record.id), record.epoch))

    @rule(node=nodes, run_id=run_ids)
    def take_back(self, node, run_id):
        self.both(node, lambda store: store.cluster.take_back(run_id, node))

    @rule(node=nodes, run_id=run_ids, late=st.integers(0, 3), given_up=st.booleans())
    def adopt(self, node, run_id, late, given_up):
        epoch = self._epoch(run_id) - (late == 0)
        self.both(node, lambda store: store.cluster.adopt(run_id, node, epoch=epoch, given_up=given_up))

    @rule(node=nodes, run_id=run_ids)
    def claim(self, node, run_id):
        epoch = self._epoch(run_id)
        self.both(node, lambda store: store.claim(run_id, node, epoch=epoch))

    @rule(node=nodes, run_id=run_ids)
    def release(self, node, run_id):
        self.both(node, lambda store: store.cluster.release(run_id, node))

    @rule(node=nodes, run_id=run_ids, by=askers, comment=st.sampled_from(["", "slow"]))
    def cancel(self, node, run_id, by, comment):
        self.both(node, lambda store: store.cluster.request_cancel(run_id, "enough", by=by, comment=comment))

    @rule(node=nodes, run_id=run_ids, seconds=st.floats(0, 100))
    def spend(self, node, run_id, seconds):
        self.both(node, lambda store: store.cluster.spend(node, {run_id: seconds}))

    @rule(node=nodes, duty=st.sampled_from(["timekeeper", "x"]), gone=st.sampled_from([None, *NODES]))
    def take_duty(self, node, duty, gone):
        self.both(node, lambda store: store.cluster.take_duty(f"{self.world}:{duty}", node, gone))

    @rule(node=nodes, duty=st.sampled_from(["timekeeper", "x"]))
    def give_up_duty(self, node, duty):
        """What one has that gives it up, anybody may take."""
        self.both(node, lambda store: store.cluster.give_up_duty(f"{self.world}:{duty}", node))

    # Events -------------------------------------------------------------------------------------------------

    @rule(data=st.data(), node=nodes, run_id=run_ids, late=st.integers(0, 7))
    def write(self, data, node, run_id, late):
        event, epoch = data.draw(events(run_id)), self._epoch(run_id) - (late == 0)
        self.both(node, lambda store: store.write(event, epoch))

    @rule(data=st.data(), node=nodes, run_id=run_ids)
    def write_many(self, data, node, run_id):
        some, epoch = data.draw(st.lists(events(run_id), min_size=1, max_size=3)), self._epoch(run_id)
        self.both(node, lambda store: store.write_many(some, epoch))

    @rule(data=st.data(), node=nodes, run_id=run_ids, step=steps, timeout=timeouts)
    def park(self, data, node, run_id, step, timeout):
        """What a run does of which nothing is left but a step that waits."""
        asked, epoch = data.draw(waits((at(2), run_id, *step, 1))), self._epoch(run_id)
        self.both(node, lambda store: store.write(asked, epoch))
        left = sum(wait.status == "open" for wait in self.shared.history.waits.of_run(run_id))
        self.both(node, lambda store: store.write(RunWaiting(at(3), run_id, "report", left, timeout), epoch))

    # Waits --------------------------------------------------------------------------------------------------

    @rule(
        node=nodes,
        run_id=run_ids,
        step=steps,
        name=names,
        status=st.sampled_from(["answered", "rejected"]),
        by=askers,
    )
    def answer(self, node, run_id, step, name, status, by):
        given = {"by": "ann", "reason": None, "data": 1}
        more = {"now": datetime.now(UTC), "status": status, "by": by}
        self.both(node, lambda store: store.waits.answer(run_id, step, name, given, **more))

    @rule(node=nodes)
    def expire(self, node):
        """When the next one is over, is a matter of seconds."""
        left = []

        async def call(store):
            expired = await store.waits.expire(now=datetime.now(UTC))
            left.append(expired.next)
            return list(expired.woken)

        self.both(node, call)
        assert (left[0] is None) == (left[1] is None)
        assert left[0] is None or abs(left[0] - left[1]) < 60

    # Step leases --------------------------------------------------------------------------------------------

    @rule(
        node=nodes, run_id=run_ids, some=st.lists(steps, min_size=1, unique=True), to=nodes, attempt=attempts
    )
    def grant(self, node, run_id, some, to, attempt):
        epoch = self._epoch(run_id)
        leases = [StepLease(run_id, *step, attempt, epoch, to) for step in some]
        self.both(node, lambda store: store.cluster.grant(leases))

    @rule(node=nodes, run_id=run_ids, step=steps, to=nodes)
    def lend(self, node, run_id, step, to):
        """A lease whose attempt begins: the owner learns that."""
        epoch, attempt = self._epoch(run_id), 1
        leases = [StepLease(run_id, *step, attempt, epoch, to)]
        if self.both(node, lambda store: store.cluster.grant(leases)) is None:
            self.both(
                to, lambda store: store.write(start(*step, run_id=run_id, attempt=attempt, node=to), epoch)
            )
            self.both(node, lambda store: store.cluster.begun(run_id, {step: attempt}), ordered=False)

    @rule(node=nodes, run_id=run_ids, some=st.lists(steps, unique=True))
    def cancel_leases(self, node, run_id, some):
        self.both(node, lambda store: store.cluster.cancel_leases(run_id, some))

    @rule(node=nodes, run_id=run_ids, some=st.none() | st.lists(steps, unique=True))
    def delete_leases(self, node, run_id, some):
        self.both(node, lambda store: store.cluster.delete_leases(run_id, some))

    @rule(node=nodes, run_id=run_ids, step=steps, attempt=attempts)
    def refuse(self, node, run_id, step, attempt):
        self.both(node, lambda store: store.cluster.refuse(run_id, step, attempt, "no"))

    # Pools and rates ----------------------------------------------------------------------------------------

    @rule(
        node=nodes,
        asked=st.lists(st.dictionaries(st.sampled_from(POOLS), st.integers(1, 2), min_size=1), max_size=3),
        priority=st.integers(0, 1),
        over=st.lists(st.integers(1, 12), max_size=3),
        known=st.lists(st.integers(1, 12), max_size=3),
        looked_at=st.lists(st.sampled_from(POOLS), unique=True),
    )
    def exchange(self, node, asked, priority, over, known, looked_at):
        twin = self.twins[node]
        claims = [
            Claim(next(twin.numbers), tuple(sorted(pools.items())), priority, "run-1", "step")
            for pools in asked
        ]
        told = {"asked": claims, "over": over, "known": known, "pools": looked_at}
        granted = self.both(node, lambda store: store.cluster.pools.exchange(node, twin.fence, **told))
        twin.fence = granted.fence

    @rule(node=nodes, pools=st.dictionaries(st.sampled_from(POOLS), st.integers(1, 3)))
    def define(self, node, pools):
        self.both(node, lambda store: store.cluster.pools.define(node, list(pools.items())))

    @rule(node=nodes, name=st.sampled_from(POOLS), slots=st.none() | st.integers(1, 3), act=acts)
    def set_pool(self, node, name, slots, act):
        self.both(node, lambda store: store.pools.set(name, slots, defined=2, act=act))

    @rule(node=nodes, gone=nodes)
    def forget_claims(self, node, gone):
        self.both(node, lambda store: store.cluster.pools.forget(gone))

    @rule(
        node=nodes,
        count=st.integers(0, 3),
        gap=st.sampled_from([10.0, 100.0]),
        lead=st.sampled_from([0.0, 50.0]),
    )
    def reserve(self, node, count, gap, lead):
        """To the second, as far as that depends on the clock."""

        async def call(store):
            wanted = [Wanted("r", gap, count, lead)]
            return [(each.rate, each.count) for each in await store.cluster.rates.reserve(wanted)]

        self.both(node, call)

    # Nodes --------------------------------------------------------------------------------------------------

    @rule(node=nodes, pipelines=st.sampled_from([["sales"], PIPELINES]))
    def hold(self, node, pipelines):
        self.both(node, lambda store: store.cluster.hold(node, pipelines))

    @rule(node=nodes)
    def leave_and_join(self, node):
        self.both(node, lambda store: store.cluster.leave(node))
        twin = self.twins[node]
        self.both(
            node, lambda store: store.cluster.join(Node(node, "h", 1, "1", ("sales",), 8, LONG), lambda: None)
        )
        twin.real.cluster.heartbeat.paused.set()
        twin.double._stop_beating()

    # Items, partitions and retention ------------------------------------------------------------------------

    @rule(
        node=nodes,
        run_id=run_ids,
        step=steps,
        first=st.integers(0, 3),
        code=st.integers(1, 3),
        io=st.sampled_from([None, "files"]),
    )
    def record_items(self, node, run_id, step, first, code, io):
        epoch = self._epoch(run_id)
        rows = [ItemRow(n, code, 1, f"i{n}", None, f"{run_id}/{step}/{n}") for n in (first, first + 2)]
        kept = [] if io else [(row.location, b"x") for row in rows]
        self.both(node, lambda store: store.items.record(run_id, step, epoch, rows, kept, io=io))

    @rule(node=nodes, run_id=run_ids, step=steps, up_to=st.none() | st.integers(0, 3))
    def forget_items(self, node, run_id, step, up_to):
        self.both(node, lambda store: store.items.forget(run_id, step, up_to=up_to))

    @rule(node=nodes, assets=st.lists(st.sampled_from("ab"), unique=True))
    def unneeded(self, node, assets):
        self.both(node, lambda store: store.items.unneeded(assets, limit=99), ordered=False)

    @rule(node=nodes, some=st.lists(steps, max_size=2, unique=True), act=acts)
    def invalidate(self, node, some, act):
        self.both(node, lambda store: store.invalidate(some, act))

    @rule(node=nodes, some=st.lists(st.sampled_from("xyz"), max_size=3), add=st.booleans(), act=acts)
    def change_partitions(self, node, some, add, act):
        if add:
            self.both(node, lambda store: store.add_partitions("p", some, act))
        else:
            self.both(node, lambda store: store.remove_partitions("p", some, act))

    @rule(node=nodes, keep=st.integers(1, 12))
    def prune_audit(self, node, keep):
        self.both(node, lambda store: store.audit.prune(keep))

    @rule(
        node=nodes, versions=st.integers(0, 2), runs=st.integers(0, 3), assets=st.sampled_from([None, ["a"]])
    )
    def prune(self, node, versions, runs, assets):
        self.both(
            node,
            lambda store: store.prune(keep_versions=versions, keep_runs=runs, assets=assets),
            ordered=False,
        )

    def _epoch(self, run_id):
        log = self.shared.history.find(run_id)
        return 0 if log is None else log.head().epoch

    # What can be asked --------------------------------------------------------------------------------------

    @invariant()
    def both_know_the_same(self):
        twin = self.twins["n1"]
        real, double = self.do(self._known(twin.real)), self.do(self._known(twin.double))
        for what, known in real.items():
            said, told = alike(double[what]), alike(known)
            assert said == told, f"{what}: the double says\n{said}\nPostgres\n{told}"

    async def _known(self, store):
        """Whatever a node can ask."""
        known = {"runs": await store.runs(), "partitions": await store.partitions("p")}
        for asset in ("report", "a", "b"):
            known["runs", asset] = await store.runs(asset=asset)
        cluster = store.cluster
        for run_id in sorted(self.given):
            record = await store.run(run_id)
            known[run_id] = record
            known[run_id, "events"] = await store.events(run_id)
            known[run_id, "steps"] = await store.steps(run_id)
            known[run_id, "leases"] = await cluster.outstanding(run_id)
            known[run_id, "refused"] = await cluster.refused(run_id)
            known[run_id, "woken"] = await store.waits.woken(run_id, after=0)
            known[run_id, "spent"] = round((await cluster.spent(run_id)) / 30)
            for step in STEPS:
                known[run_id, step, "items"] = await store.items.rows(run_id, step)
                known[run_id, step, "states"] = (await store.items.states(run_id, step)).rstrip(b"\0")
                for attempt in (1, 2):
                    known[run_id, step, attempt] = await cluster.endings(run_id, {step: attempt})
                if record is not None and not record.status.terminal:
                    known[run_id, step, "answers"] = await store.waits.answers(run_id, step)
                for name in NAMES:
                    known[run_id, step, name] = _open_or_over(
                        await store.waits.of_token(f"{run_id}{step[0]}{name}"), record
                    )
        known["approvals"] = approvals = await store.waits.approvals(now=datetime.now(UTC))
        for wait in approvals:
            before = await store.waits.approvals(["open"], now=datetime.now(UTC), before=wait, limit=2)
            known["approvals", wait.id] = before
        known["open waits"] = await store.waits.open(now=datetime.now(UTC))
        known["waiting"] = [await store.waits.waiting(step) for step in (None, *STEPS)]
        known["current"] = await store.current(STEPS)
        for asset in "ab":
            known["recent", asset] = await store.recent(asset)
            known["recent", asset, 1] = await store.recent(asset, limit=2, offset=1)
        for step in STEPS:
            known["history", step] = await store.history(step)
            known["downstream", step] = {
                key: sorted(of, key=str) for key, of in (await store.downstream([step])).items()
            }
            known["under way", step] = await cluster.under_way(step)
        known["queued"] = await cluster.queued(PIPELINES, 9)
        for gone in ([], ["n1"], ["n2", "gone"]):
            known["orphans", *gone] = await cluster.orphans(PIPELINES, gone)
        for node in NODES:
            known["owned", node] = await cluster.owned(node)
            known["cancelling", node] = await cluster.cancelling(node)
            known["leases", node] = await cluster.leases(node)
        known["beats"] = sorted(
            (replace(each, age=None, count=min(1, each.count)) for each in await cluster.beats(PIPELINES)),
            key=lambda each: each.node,
        )
        known["nodes"] = [
            (each.node, each.gone, each.runs)
            for each in sorted(await cluster.nodes(), key=lambda each: each.node.id)
        ]
        known["pools"] = await cluster.pools.show(POOLS)
        known["given"] = await store.pools.given()
        known["differences"] = await cluster.pools.differences(POOLS)
        known["audit"] = [
            replace(each, id=0, at=PAST, details=dict(each.details)) for each in await store.audit.entries()
        ]
        known |= await known_of_callers(store, sorted(self.given))
        known |= await known_of_automations(store)
        known |= await known_of_deliveries(store)
        return known


def _open_or_over(wait, record):
    """The wait of a token; of a run that is over it does not matter how it came to be over."""
    if wait is None or record is None or record.status.terminal:
        return wait is None
    return wait.status, wait.kind, wait.attempt, wait.answer


@pytest.mark.parametrize("worlds", [4, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_the_double_answers_as_postgres(postgres_server, template_database, worlds):
    """Random worlds of two nodes."""

    async def world(stack):
        return await stack.__aenter__()

    loop = asyncio.new_event_loop()
    stack = fresh_database(postgres_server, template_database)
    try:
        dsn = loop.run_until_complete(world(stack))
        run_state_machine_as_test(
            type("SharedModel", (SharedModel,), {"dsn": dsn}),
            settings=settings(
                max_examples=worlds,
                phases=[Phase.explicit, Phase.reuse, Phase.generate],
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
    finally:
        loop.run_until_complete(stack.__aexit__(None, None, None))
        loop.close()
