"""What `flowstone doctor` finds about a database and the nodes that share it.

Map of this file
    Check                                   one finding
    database_checks, judged                 all of them, asked for and judged
    _store … _vacuum                        of the database
    _nodes … _unfit                         of the nodes
    _runs, _queue                           of the runs
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, Literal

from flowstone.cli.default_store import file_instead
from flowstone.cli.drivers import Drivers, refusals
from flowstone.cli.environment import options
from flowstone.cli.labels import duration
from flowstone.cli.places import directory_of, shown, store_of, too_late
from flowstone.counting import count
from flowstone.errors import StoreUnavailable
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from flowstone.store.cluster import WatchedNode
    from flowstone.store.postgres.diagnosis import Diagnosis

__all__ = ["Check", "database_checks", "judged"]


@frozen
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        verdict: "ok", "note" (works, could be better) or "wrong".
        found: What is the case.
        remedy: What to do about it; empty if nothing.
    """

    name: str
    verdict: Literal["ok", "note", "wrong"]
    found: str
    remedy: str = ""


_SKEW: Final = 2.0  # Seconds that clocks may differ before it is worth a note.
_WRONG_SKEW: Final = 60.0
_CROWDED: Final = 0.8  # Of the connections.
_MANY_DEAD: Final = 100_000  # Rows.


async def database_checks(url: str) -> AsyncIterator[Check]:
    """Every check of a store that is a database; looking changes nothing."""
    directory = directory_of(url)
    if directory is not None and not (directory / "data").exists():
        yield _database_to_be(url, directory)
        return
    try:
        facts = await _facts(url)
    except StoreUnavailable as error:
        yield Check("store", "wrong", str(error))
        return
    for check in judged(facts, shown(url)):
        yield check


def _database_to_be(url: str, directory: Path) -> Check:
    from flowstone.store.embedded.fitness import obstacle  # noqa: PLC0415 - only where there is none yet

    closed = obstacle(directory)
    if closed is not None:
        return Check("store", "wrong", f"{shown(url)}: {closed}")
    return Check("store", "ok", f"{shown(url)}: does not exist yet, can be created")


async def _facts(url: str) -> Diagnosis:
    database: Any = store_of(url)  # Every store that is a database has `diagnose`.
    limit = options().connect_timeout
    try:
        found: Diagnosis = await database.diagnose(connect_timeout=limit)
    except TimeoutError:
        raise too_late(url, limit) from None
    except StoreUnavailable as error:
        raise file_instead(url, error) from error
    return found


def judged(facts: Diagnosis, store: str) -> Iterator[Check]:
    """The facts with a verdict each; `store` is the URL as it may be shown."""
    yield _store(facts, store)
    yield _schema(facts, store)
    yield from _durability(facts)
    yield _notifications(facts)
    yield _clock(facts)
    yield _connections(facts)
    yield from _vacuum(facts)
    yield from _nodes(facts)
    yield from _runs(facts)
    yield from _adopted(facts)
    yield from _retried(facts)
    yield _queue(facts)
    yield from _unfit(facts)


# The database -----------------------------------------------------------------------------------------------


def _store(facts: Diagnosis, store: str) -> Check:
    found = f"{store}: PostgreSQL {facts.server.split()[0]}, {facts.size / (1 << 20):,.1f} MiB"
    if facts.read_only:
        return Check("store", "wrong", f"{found}, read-only", "Name the primary, or make it writable.")
    return Check("store", "ok", found)


def _schema(facts: Diagnosis, store: str) -> Check:
    found = f"version {facts.schema}"
    if facts.schema > facts.latest:
        return Check(
            "schema", "wrong", f"{found} of a newer FlowStone; this one knows {facts.latest}", "Upgrade it."
        )
    if facts.schema == facts.latest:
        return Check("schema", "ok", found)
    if facts.schema == 0:
        found = "none yet"
    command = f"Run `flowstone migrate --store {store}`, or any command that computes."
    return Check("schema", "note", f"{found}; this FlowStone works with version {facts.latest}", command)


def _durability(facts: Diagnosis) -> Iterator[Check]:
    off = [name for name in ("fsync", "full_page_writes") if facts.settings[name] == "off"]
    if off:
        found = f"{' and '.join(off)} off: a power cut may destroy what was acknowledged, or everything"
        yield Check("durability", "wrong", found, f"Turn {' and '.join(off)} on in postgresql.conf.")
    elif facts.settings["synchronous_commit"] == "off":
        found = "synchronous_commit is off: a crash of the server forgets the last moments"
        yield Check("durability", "note", found, "Turn it on, at least for this role: ALTER ROLE … SET ….")
    else:
        yield Check("durability", "ok", "what is acknowledged is on the disk")


def _notifications(facts: Diagnosis) -> Check:
    if facts.pooled:
        return Check(
            "notifications",
            "note",
            "a pooler stands between and LISTEN does not work: nodes look twice a second instead",
            "Connect to the server itself, or pool by session, if half a second matters.",
        )
    return Check("notifications", "ok", "arrive at once")


def _clock(facts: Diagnosis) -> Check:
    skew = abs(facts.clock_skew) - facts.uncertainty
    side = "ahead of" if facts.clock_skew > 0 else "behind"
    found = f"this machine is {duration(max(skew, 0.0))} {side} the database"
    if skew < _SKEW:
        return Check("db clock", "ok", "as this machine's" if skew <= 0.1 else found)
    verdict: Any = "wrong" if skew > _WRONG_SKEW else "note"
    return Check(
        "db clock",
        verdict,
        found,
        "Have both follow NTP: time partitions depend on it, and what people read.",
    )


def _connections(facts: Diagnosis) -> Check:
    found = f"{facts.connections} of {facts.max_connections} in use"
    if facts.connections >= _CROWDED * facts.max_connections:
        return Check("connections", "note", found, "Raise max_connections, or put a pooler in between.")
    return Check("connections", "ok", found)


def _vacuum(facts: Diagnosis) -> Iterator[Check]:
    if facts.settings["autovacuum"] == "off":
        yield Check(
            "vacuum", "wrong", "autovacuum is off: tables only grow", "Turn it on in postgresql.conf."
        )
    elif facts.dead_rows is not None:
        name, dead, live = facts.dead_rows
        if dead > max(_MANY_DEAD, live):
            found = f"{name} has {dead:,} dead rows beside {live:,} live ones: vacuum does not keep up"
            yield Check(
                "vacuum", "note", found, "Look for long transactions; give autovacuum more workers or cost."
            )


# The nodes --------------------------------------------------------------------------------------------------


def _nodes(facts: Diagnosis) -> Iterator[Check]:
    versions = {node.node.version for node in facts.nodes if node.seems_alive}
    for watched in facts.nodes:
        if watched.seems_alive or watched.runs:
            yield _node(watched)
    if len(versions) > 1:
        found = f"nodes run {' and '.join(sorted(versions))} of FlowStone"
        yield Check("versions", "note", found, "Upgrade them all to one release.")
    if not any(node.seems_alive and node.node.pipelines for node in facts.nodes) and facts.schema:
        yield Check("nodes", "ok", "none works: submitted runs wait for `flowstone serve`")


def _node(watched: WatchedNode) -> Check:
    node = watched.node
    held = ", ".join(node.pipelines) or "no pipeline of others"
    about = f"{node.id} (process {node.pid} on {node.host}, {node.version}, holds {held})"
    if not watched.seems_alive:
        left = f"{_last_sign(watched)} and left {count(watched.runs, 'run')}"
        return Check("node", "note", f"{about} {left}", "What becomes of them is said below.")
    found = f"{about} lives, last beat {duration(watched.age)} ago, {count(watched.runs, 'run')}"
    if abs(watched.clock_skew) >= _SKEW:
        side = "ahead of" if watched.clock_skew > 0 else "behind"
        found += f", its clock {duration(abs(watched.clock_skew))} {side} the database's"
        return Check("node", "note", found, "Have its machine follow NTP.")
    return Check("node", "ok", found)


def _last_sign(watched: WatchedNode) -> str:
    """How long ago, for one who looks once: the database's clock may have been stepped meanwhile."""
    if watched.gone:
        return "has stopped"
    if watched.age < 0:
        return f"beat last {duration(-watched.age)} after now, by a clock that was set back since,"
    return f"beat last {duration(watched.age)} ago, its lease is {duration(watched.node.lease)},"


def _holders(facts: Diagnosis) -> dict[str, int]:
    """How many living nodes hold each pipeline."""
    holders: defaultdict[str, int] = defaultdict(int)
    for watched in facts.nodes:
        for name in watched.node.pipelines if watched.seems_alive else ():
            holders[name] += 1
    return holders


def _adopted(facts: Diagnosis) -> Iterator[Check]:
    for run_id, pipeline, times, seconds in facts.adopted:
        found = (
            f"run {run_id} of {pipeline} was taken over {times} times with no step recorded in between, "
            f"last {duration(seconds)} ago"
        )
        yield Check(
            "runs", "note", found, "After three times it is closed as failed; see the logs of its nodes."
        )


def _retried(facts: Diagnosis) -> Iterator[Check]:
    """What living nodes try again, as they said with their last beats."""
    for watched in facts.nodes:
        if not watched.seems_alive:
            continue
        node, report = watched.node.id, watched.report
        if report.store is not None:
            found = f"node {node} cannot reach all of the store: {report.store}"
            yield Check("retried", "note", found, "It goes on by itself when that is over.")
        for run_id, why in report.retried.items():
            found = f"run {run_id} is tried again by node {node}: {why}"
            yield Check(
                "retried", "note", found, "After three times it is closed as failed; see that node's log."
            )


def _unfit(facts: Diagnosis) -> Iterator[Check]:
    """Runs in the queue that no living node can run."""
    for run_id, pipeline in facts.unfit:
        holders = Drivers(facts.nodes).holders(pipeline)
        said = refusals(holders, run_id)
        if said and len(said) == len(holders):
            found = f"run {run_id} of {pipeline} waits, and no living node can run it: {said[0]}"
            remedy = f"Start a node that can, or take it out of the queue: `flowstone cancel {run_id}`."
            yield Check("queue", "note", found, remedy)


def _runs(facts: Diagnosis) -> Iterator[Check]:
    holders = _holders(facts)
    for left in facts.left_behind:
        found = f"{count(left.runs, 'unfinished run')} of the pipeline {left.pipeline!r} whose node is gone"
        if holders.get(left.pipeline):
            yield Check(
                "runs", "note", found, "A node that holds the pipeline goes on with them in a moment."
            )
        else:
            yield Check(
                "runs",
                "wrong",
                found,
                f"Start a node that holds {left.pipeline!r}: `flowstone serve MODULE:PIPELINE`.",
            )


def _queue(facts: Diagnosis) -> Check:
    if not facts.waiting:
        return Check("queue", "ok", "empty")
    holders = _holders(facts)
    parts = [f"{each.runs:,} of {each.pipeline!r} for {duration(each.seconds)}" for each in facts.waiting]
    found = f"{count(sum(each.runs for each in facts.waiting), 'run')} waiting: {', '.join(parts)}"
    nobody = [each.pipeline for each in facts.waiting if not holders.get(each.pipeline)]
    if nobody:
        names = " and ".join(map(repr, nobody))
        return Check(
            "queue", "note", found, f"No node holds {names}: start `flowstone serve MODULE:PIPELINE`."
        )
    return Check("queue", "ok", found)
