"""Every statement that writes, made to collide with every other: the transactions, and a world they meet in.

A *transaction* is what the store sends between BEGIN and COMMIT, each statement with several sets of arguments,
which name the same rows in different orders. It runs many rounds inside the database, as a procedure that undoes
each round: its locks are real, the world stays as it is, and no round trip keeps two of them apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.runs.automation import Definition
from flowstone.runs.events import RunWaiting, StepWaiting
from flowstone.store.deliveries import Follower
from flowstone.store.postgres.batch import Creation, Write, arguments
from flowstone.store.postgres.columns import request_text
from flowstone.store.postgres.queue import _builders
from flowstone.store.postgres.sql import query
from tests.store.facts import at, begun, end, over, run, start

TABLE = re.compile(r"flowstone\.(\w+)")
RECORDED = {
    "journals",
    "runs",
    "starts",
    "events",
    "materializations",
    "current",
    "superseded",
    "inputs",
    "payloads",
    "waits",
    "followers",
    "outbox",
    "feed",
    "audit",
}
POOLED = {"nodes", "pools", "pool_definitions", "pool_claims", "audit"}
OF_RATES = {"reserve_turns"}
OF_EVENTS = {"tell_events"}
OF_WATCH = {"watch_nodes"}
OF_CALLERS = {
    "create_unless_under_way",
    "create_each_unless_under_way",
    "want",
    "leave_run",
    "closes_circle",
    "lock_identities",
}
OF_POOLS = {"exchange_slots", "define_pools", "forget_claims", "set_pool"}
"""Statements that are functions, which name no table."""
RUNS = ["run-1", "run-2", "run-3"]
DONE = ["done-1", "done-2", "done-3"]
KEYS = [("a", "1"), ("a", "2"), ("b", "Ä"), ("B", "3")]


@dataclass(frozen=True)
class Transaction:
    """Statements in order: the name of the file and the arguments, as SQL, one tuple for each variant."""

    statements: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]

    @property
    def names(self):
        return {name for name, _ in self.statements}

    @property
    def tables(self):
        """The tables it names: two transactions without a common one have no row to wait for."""
        return set().union(*(tables_of(name) for name in self.names))


def tables_of(name):
    if name in OF_POOLS:
        return POOLED
    if name in OF_EVENTS:
        return {"followers", "outbox", "feed", "audit"}
    if name in OF_CALLERS:
        return {"runs", "callers", "queue", "events"}
    if name in OF_WATCH:
        return {"watch"}
    if name in OF_RATES:
        return {"rates"}
    return RECORDED if name == "record" else TABLE.findall(text_of(name))


def one(name, *variants):
    return Transaction(((name, variants or ((),)),))


def several(*statements):
    return Transaction(tuple((name, variants or ((),)) for name, *variants in statements))


def literal(value, kind=None):
    """A Python value as SQL."""
    if value is None:
        text = "null"
    elif isinstance(value, bool | int | float):
        text = str(value)
    elif isinstance(value, bytes):
        text = f"'\\x{value.hex()}'"
    elif isinstance(value, list | tuple):
        return f"array[{', '.join(literal(each) for each in value)}]::{kind}"
    else:
        text = "'" + str(value).replace("'", "''") + "'"
    return text if kind is None else f"{text}::{kind}"


def texts(*values):
    return literal(values, "text[]")


def keyed(pairs):
    return texts(*(asset for asset, _ in pairs)), texts(*(key for _, key in pairs))


THERE, BACK = keyed(KEYS), keyed(KEYS[::-1])
RUN_1, RUN_2 = "'run-1'", "'run-2'"
ADA = ("'ada'", "'why'", "true")


def batch(*entries):
    """The arguments of `record`, as SQL; its number is none, so that each round records again."""
    given, *_ = arguments(entries)
    return given


def ends(run_id, pairs, round_id, **options):
    events = [end(asset, key, run_id=run_id, location=f"l/{round_id}/{asset}/{key}") for asset, key in pairs]
    return Write.of(
        [start(events[0].asset, events[0].partition_key, run_id=run_id), *events], 0, None, **options
    )


def log_lines(*runs):
    """The arguments of `append_logs`, as SQL: a line for each of these runs."""
    many = len(runs)
    return (
        "7",
        texts(*runs),
        texts(*["a"] * many),
        texts(*["1"] * many),
        literal([1] * many, "integer[]"),
        literal([*range(many)], "bigint[]"),
        literal([0.0] * many, "double precision[]"),
        literal([1] * many, "integer[]"),
        texts(*['[[0,20,"x"]]'] * many),
    )


def items(run_id, *positions):
    """The arguments of `record_items`, as SQL."""
    numbers = ", ".join(positions)
    places = texts(*(f"l/item-{position}" for position in positions))
    two = "array[1, 1]::{}[]"
    return (
        run_id,
        "'a'",
        "'1'",
        "1",
        f"array[{numbers}]::bigint[]",
        two.format("smallint"),
        two.format("integer"),
        "array[null, null]::text[]",
        places,
        "array[null, null]::text[]",
        places,
        "array['\\x00', '\\x01']::bytea[]",
        "'files'",
    )


def exchange(node, *pools):
    """The arguments of `exchange_slots`, as SQL: it gives back a slot of each pool and asks for several."""
    wanted = [(10, pool) for pool in pools[:2]] + [(11, pool) for pool in pools[1:]] + [(12, pools[0])]
    return (
        f"'{node}'",
        "0",
        texts(*pools),
        "array[2]::bigint[]",
        "array[1]::bigint[]",
        f"array[{', '.join(str(number) for number, _ in wanted)}]::bigint[]",
        texts(*(pool for _, pool in wanted)),
        "array[1, 1, 1, 1, 1]",
        "array[0, 0, 1, 1, 0]",
        texts(*(["run-1"] * 5)),
        texts(*(["a"] * 5)),
    )


def asks(run_id):
    return StepWaiting(at(1), run_id, "a", None, 1, "new", "sleep", None, 60.0)


def parks(run_id):
    return RunWaiting(at(2), run_id, "a", 1 + (run_id != "run-3"), 60.0)


RECORDS = {
    "success": lambda i: [ends(RUNS[i], [("a", "1")], "x", payload=b"one")],
    "first starts": lambda i: [
        Write.of([start(*key, run_id=each)], 0, None) for each in RUNS[:: 1 - 2 * i] for key in KEYS
    ],
    "many successes": lambda i: [ends(each, KEYS[:: 1 - 2 * i], "y") for each in RUNS[:: 1 - 2 * i]],
    "new runs": lambda i: [
        Creation(f"new-{n}", None, run(f"new-{n}", key=f"key-{n if i else 3 - n}")) for n in (1, 2)
    ],
    "waits": lambda i: [Write.of([asks(each), parks(each)], 0, None) for each in RUNS[:: 1 - 2 * i]],
    "run ends": lambda i: [Write.of([begun(each), over(each)], 0, None) for each in RUNS[:: 1 - 2 * i]],
}


def recording(name):
    variants = []
    for i in (0, 1):
        given = [None, None, None, *batch(*RECORDS[name](i))]
        variants.append(tuple(literal(each, "bytea[]" if isinstance(each, list) else None) for each in given))
    return one("record", *variants)


def transactions():
    """All of them, by name."""
    enqueued = (
        "enqueue",
        (
            "array[0]",
            "array['sales']",
            f"array[{RUN_1}::bytea]",
            "array['0 s']::interval[]",
            texts("run-1"),
            "array[null]::jsonb[]",
        ),
    )
    told = (texts("automation:a"), texts("automation.failed"), texts(""), texts("{}"))
    identity = request_text(run("run-1"))
    node = ("'n1'", "'h'", "1", "'v'", texts("sales"), "1", "15.0", "0.0")
    leases = [
        (RUN_1, "0", *order, "array[1,1,1,1]", texts("n1", "n2", "n1", "n2"), "array[0,0,0,0]")
        for order in (THERE, BACK)
    ]
    return {
        **{f"record: {name}": recording(name) for name in RECORDS},
        "a large value": several(
            ("keep_payload", ("'l/z/a/1'", "'\\x00'::bytea")),
            *((name, *variants) for name, variants in recording("many successes").statements),
        ),
        "submit": several(
            (
                "submit",
                (
                    "'run-9'",
                    "'sales'",
                    "'a'",
                    "'{}'",
                    "now()",
                    "null::timestamptz",
                    "1::bigint",
                    "'key-1'",
                    "0",
                ),
                (
                    "'run-9'",
                    "'sales'",
                    "'a'",
                    "'{}'",
                    "now()",
                    "null::timestamptz",
                    "1::bigint",
                    "'key-2'",
                    "0",
                ),
            ),
            enqueued,
            ("tell", (texts("queued:sales"),)),
        ),
        "join a run": several(
            (
                "create_unless_under_way",
                *(
                    (
                        f"'new-{n}'",
                        "'sales'",
                        f"'{asset}'",
                        literal(identity if n == 1 else "{}"),
                        "now()",
                        "now()",
                        "'n1'",
                        "1::bigint",
                        f"'key-{n}'",
                        "0",
                        "'{}'",
                    )
                    for n, asset in ((1, "report"), (2, "a"))
                ),
            ),
            ("closes_circle", (RUN_1, texts("run-2")), (RUN_2, texts("run-1"))),
            (
                "want",
                *((each, f"'c{n}'", "'n1'", "true", texts("run-3")) for n, each in enumerate((RUN_1, RUN_2))),
            ),
        ),
        "tell end": one("tell_end", (RUN_1,), (RUN_2,)),
        "leave a run": several(
            ("leave_run", (RUN_1, RUN_1, "'n1'", "true"), (RUN_2, RUN_2, "'n1'", "false")),
            *(
                (name, (texts("run-1"), *more), (texts("run-2"), *more))
                for name, more in (("lock_runs", ()), ("ask_to_cancel", ("'{}'",)), ("cancel_unstarted", ()))
            ),
        ),
        "answer": several(
            (
                "answer_wait",
                (RUN_1, "'a'", "''", "'nap'", "'1'", "'x'", "'answered'", "'ada'"),
                (RUN_2, "'a'", "''", "'nap'", "'1'", "'x'", "'answered'", "null"),
            ),
            (
                "wake",
                *(
                    (texts(each), texts("a"), texts(""), "'{1}'", texts("nap"), texts("x"), "'{true}'")
                    for each in RUNS[:2]
                ),
            ),
            enqueued,
        ),
        "expire": several(
            ("lock_runs", (texts("run-1", "run-2"),), (texts("run-2", "run-1"),)),
            ("expire_waits", (texts("run-1", "run-2"), "1000"), (texts("run-2", "run-1"), "1000")),
            (
                "wake",
                *(
                    (
                        texts(*each),
                        texts("a", "a"),
                        texts("", ""),
                        "'{1,1}'",
                        texts("nap", "nap"),
                        texts("x", "x"),
                        "'{true,true}'",
                    )
                    for each in (RUNS[:2], RUNS[1::-1])
                ),
            ),
            enqueued,
        ),
        "cancel what is parked": several(
            *(
                (name, (texts("run-1", "run-2"), *more), (texts("run-2", "run-1"), *more))
                for name, more in (("lock_runs", ()), ("ask_to_cancel", ("'{}'",)), ("unpark", ()))
            ),
            enqueued,
        ),
        "take one": one("take_one", ("'n1'", RUN_1), ("'n2'", RUN_2)),
        "give up a duty": one("give_up_duty", ("'timekeeper'", "'n1'"), ("'timekeeper'", "'n2'")),
        "take a duty": one("take_duty", ("'timekeeper'", "'n1'", "null"), ("'timekeeper'", "'n2'", "'n1'")),
        "take": one(
            "take",
            ("'n1'", texts("sales"), "2", "array[]::text[]"),
            ("'n2'", texts("sales"), "3", texts("run-1")),
        ),
        "adopt": one("adopt", (RUN_1, "'n1'", "0", "false"), (RUN_2, "'n1'", "0", "true")),
        "claim": one("claim", (RUN_1, "'n1'", "0"), (RUN_2, "'n1'", "0")),
        "release": several(("release", ("'run-3'", "'n1'")), enqueued),
        "cancel": several(
            *(
                (name, (texts("run-1", "run-2"), *more), (texts("run-2", "run-1"), *more))
                for name, more in (("lock_runs", ()), ("ask_to_cancel", ("'{}'",)), ("cancel_unstarted", ()))
            ),
        ),
        "grant": one("grant", *leases),
        "cancel_leases": one("cancel_leases", (RUN_1, *THERE), (RUN_1, *BACK)),
        "spend": one(
            "spend",
            ("'n1'", texts("run-1", "run-2"), "'{1,1}'"),
            ("'n1'", texts("run-2", "run-1"), "'{2,2}'"),
        ),
        "refuse": one("refuse", (RUN_1, "'a'", "'1'", "1", "'why'"), (RUN_1, "'b'", "'1'", "1", "'why'")),
        "delete_leases": one("delete_leases", (RUN_1, *THERE), (RUN_1, *BACK)),
        "prune_leases": one("prune_leases", (texts("run-1", "run-2"),), (texts("run-2", "run-1"),)),
        "invalidate": one("invalidate", (*THERE, *ADA), (*BACK, *ADA)),
        "add_partitions": one(
            "add_partitions",
            ("'s'", texts("ä", "b", "C", "x"), *ADA),
            ("'s'", texts("x", "C", "b", "ä"), *ADA),
        ),
        "remove_partitions": one(
            "remove_partitions", ("'s'", texts("k1", "k2", "k3"), *ADA), ("'s'", texts("k3", "k2"), *ADA)
        ),
        "record_items": one("record_items", items(RUN_1, "1", "2"), items(RUN_1, "2", "1")),
        "forget_items": one(
            "forget_items",
            (RUN_1, "'a'", "'1'", "9", "null::bigint"),
            (RUN_2, "'a'", "'1'", "9", "1"),
            *((f"'{name}'", "'a'", "'2'", "9", "null::bigint") for name in DONE[:2]),
        ),
        "unneeded items": one("unneeded_items", (texts("a", "b"), "2"), (texts("b", "a"), "100")),
        "delete_payload": one("delete_payload", ("'l/1'",), ("'l/2'",)),
        "append_logs": one("append_logs", log_lines("run-1", "run-2"), log_lines("run-2", "run-1", "run-2")),
        "prune logs": several(("prune_logs", ("100",), ("1",)), ("prune_log_heads", ())),
        "prune runs": several(
            # Which runs a node gets, it does not choose; here each waits for all of them.
            ("lock_runs", (texts(*DONE),)),
            *(
                (name, (texts(*DONE), "100"))
                for name in (
                    "prune_starts",
                    "prune_events",
                    "prune_tokens",
                    "prune_waits",
                    "prune_callers",
                    "prune_steps",
                    "prune_items",
                )
            ),
            ("prune_leases", (texts(*DONE),)),
            ("delete_runs", (texts(*DONE),)),
        ),
        "prune_runs": one("prune_runs", ("0", "20"), ("1", "1")),
        "prune versions": one("prune_versions", ("1", "500", "null::text[]"), ("0", "2", texts("a"))),
        "prune_long": one("prune_long", ("1", "20"), ("0", "1")),
        "prune long": several(
            # As above; on a part of the rows, as `prune_long` gives it, each would go on to rows of the other.
            ("lock_runs", (texts("done-1", "done-2"),)),
            *(
                (
                    name,
                    (texts("done-1", "done-2"), "'{2,2}'", "9"),
                    (texts("done-2", "done-1"), "'{2,2}'", "9"),
                )
                for name in ("prune_old_starts", "prune_old_events")
            ),
            ("not_long", (texts("done-1", "done-2"),)),
        ),
        "watch nodes": one("watch_nodes", ("10.0", "false"), ("10.0", "true")),
        "housekeeping": several(
            ("prune_log", ("0.0", "100")),
            ("prune_journals", ("0",)),
            ("prune_nodes",),
            ("prune_feed", ("0.0", "0", "100")),
        ),
        "prune_audit": one("prune_audit", ("1", "100"), ("2", "1")),
        "join": one("join", node),
        "beat": one("beat", ("'n1'", "0.0", "null"), ("'n2'", "0.0", "null")),
        "hold": one("hold", ("'n1'", "'{p}'"), ("'n2'", "'{p}'")),
        "leave": one("leave", ("'n1'",), ("'n2'",)),
        "exchange slots": one("exchange_slots", exchange("n1", "p", "q", "r"), exchange("n2", "r", "q", "p")),
        "define pools": one(
            "define_pools",
            ("'n1'", texts("s", "p", "q"), "array[1, 2, 3]"),
            ("'n2'", texts("q", "r", "s"), "array[1, 2, 3]"),
        ),
        "forget claims": one("forget_claims", ("'n1'",), ("'n2'",)),
        "set pool": one("set_pool", ("'p'", "1", "9", *ADA), ("'s'", "1", "null::integer", *ADA)),
        "reserve turns": one(
            "reserve_turns",
            (texts("a", "b", "c"), "array[1, 1, 1]", "array[1, 2, 3]", "array[0, 0, 0]"),
            (texts("c", "b", "a"), "array[1, 1, 1]", "array[1, 2, 3]", "array[0, 0, 0]"),
        ),
        "follow": several(
            (
                "follow",
                (
                    "'sales'",
                    texts("all", "new"),
                    "array['run.queued', 'step.failed']",
                    "array[null, null]",
                    "'{f,f}'",
                ),
                (
                    "'sales'",
                    texts("new", "all"),
                    "array['run.queued', 'step.failed']",
                    "array['[]', null]",
                    "'{f,f}'",
                ),
            ),
            ("drop_deliveries", ("100",)),
        ),
        "delivered": one(
            "delivered",
            ("'sales'", "'all'", texts("run-1", "run-2"), "'{1,1}'"),
            ("'sales'", "'all'", texts("run-2", "run-1"), "'{1,1}'"),
        ),
        "delivery failed": one(
            "delivery_failed",
            ("'sales'", "'all'", RUN_1, "1", "'{}'"),
            ("'sales'", "'all'", RUN_2, "1", "'{}'"),
        ),
        "give up a delivery": several(
            (
                "give_up_delivery",
                ("'sales'", "'all'", RUN_1, "1", "now()", "'{}'"),
                ("'sales'", "'all'", RUN_2, "1", "now()", "'{}'"),
            ),
            (
                "tell_events",
                (
                    "'sales'",
                    texts("automation:a"),
                    texts("automation.failed"),
                    texts(""),
                    texts("{}"),
                    "'all'",
                ),
            ),
        ),
        "forget automations": several(
            ("forget_automations", ("0.0",)),
            ("forget_duties", (texts("timekeeper", "x"),)),
        ),
        "define automations": several(
            (
                "define_automations",
                *(
                    (
                        texts("sales"),
                        texts("sales", "sales"),
                        texts(*names),
                        texts("sensor", "sensor"),
                        texts(text, text),
                        "'{f,f}'",
                        texts("null", "null"),
                    )
                    for names, text in ((("a1", "a2"), "x"), (("a2", "a1"), "y"))
                ),
            ),
        ),
        "change an automation": several(
            (
                "move_automations",
                *(
                    (
                        texts("sales", "sales"),
                        texts(*names),
                        "'{1,1}'",
                        texts("1", "1"),
                        texts("[]", "[]"),
                        "'{null,null}'",
                        "'{0,0}'",
                        "array[null, null]::text[]",
                        "'t'",
                        "array[null, null]::text[]",
                    )
                    for names in (("a1", "a2"), ("a2", "a1"))
                ),
            ),
            ("delivered", *(("'sales'", "'all'", texts(each), "'{1}'") for each in RUNS[:2])),
            ("tell_events", ("'sales'", *told, "'a'")),
            ("audit_fires", (texts("sales"), texts("a1"), texts("ada"), texts(""))),
            (
                "lock_identities",
                (texts("sales", "sales"), texts("{}", identity)),
                (texts("sales", "sales"), texts(identity, "{}")),
            ),
            (
                "create_each_unless_under_way",
                *(
                    (
                        texts("new-8", "new-9"),
                        texts("sales", "sales"),
                        texts("a", "report"),
                        texts(*requests),
                        "array[now(), now()]",
                        "'{1,1}'",
                        "'{0,0}'",
                        "'{t,f}'",
                    )
                    for requests in (("{}", identity), (identity, "{}"))
                ),
            ),
            (
                "submit_many",
                (
                    texts("run-8", "run-9"),
                    texts("sales", "sales"),
                    texts("a", "a"),
                    texts("{}", "{}"),
                    "array[now(), now()]",
                    "'{1,1}'",
                    "'{0,0}'",
                ),
            ),
            enqueued,
            ("tell", (texts("queued:sales"),)),
            ("keep_automation_keys", ("'sales'", "'a1'", texts("k"), texts("run-9"))),
            (
                "keep_fires",
                *(
                    (
                        texts("sales", "sales"),
                        texts(*names),
                        "'{7,7}'",
                        texts("{}", "{}"),
                        texts('["run-9"]', "[]"),
                        texts("[]", "[]"),
                        "1",
                        "'t'",
                    )
                    for names in (("a1", "a2"), ("a2", "a1"))
                ),
            ),
        ),
        "pause an automation": several(
            ("pause_automation", ("'sales'", "'a1'", "true", "'{}'"), ("'sales'", "'a2'", "true", "'{}'")),
            ("tell_events", ("'sales'", *told, "'a'")),
        ),
        "add a token": one(
            "add_token", *((each, "'ci'", "'read'", "now()", "null", "null") for each in ("'t8'", "'t9'"))
        ),
        "use a token": one("use_token", *((each, "now()", "'1 minute'") for each in ("'t1'", "'t2'"))),
        "revoke a token": one("revoke_token", ("'ada'", "now()", "'eve'"), ("'bob'", "now()", "null")),
        "begin a session": one("begin_session", *((each, "'t1'", "now()") for each in ("'s8'", "'s9'"))),
        "forget sessions": one("prune_sessions", ("'t1'", "now()", "1"), ("'t2'", "now()", "0")),
        "end a session": one("end_session", ("'s1'",), ("'s2'",)),
        "publish_tree": one("publish_tree", ("'n1'", "'{}'"), ("'n2'", "'{}'")),
    }


def text_of(name):
    return _builders()[1].build_enqueue_query(on_conflict="skip") if name == "enqueue" else query(name)


LOGS = """
insert into flowstone.log_heads (run_id, last) values ('run-1', 1), ('gone-1', 1), ('gone-2', 1);
insert into flowstone.logs (run_id, number, asset, key, attempt, writer, part, at, lines)
select run_id, 1, 'a', '1', 1, 6, 1, now(), '[[0,20,"x"]]' from flowstone.log_heads;
"""
ITEMS = """
with made as (
    insert into flowstone.item_sets (run_id, asset, key, io, unneeded)
    select runs.id, keys.asset, keys.key,
        case when keys.key <> '2' then 'files' end, case when keys.asset = 'b' then 0 end
    from flowstone.runs cross join (values ('a', '1'), ('a', '2'), ('b', 'Ä'), ('gone', '')) as keys(asset, key)
    where runs.id like 'done-%'
    returning id, run_id
)
insert into flowstone.items (set_id, position, status, attempt, location)
select made.id, n, 1, 1, 'l/' || n from made cross join generate_series(1, 3) as n
"""


def preparations():
    """Statements for a connection that is to call procedures: plans are made once, as the store's are."""
    names = {name for transaction in transactions().values() for name in transaction.names}
    return [f'prepare "{name}" as {text_of(name)}' for name in sorted(names)]


def procedure(number, transaction):
    """A procedure that runs a transaction so many rounds, and undoes each."""
    lines = []
    for name, variants in transaction.statements:
        lines.append(f"case turn % {len(variants)}")
        for i, given in enumerate(variants):
            call = f"({', '.join(given)})" if given else ""
            lines.append(f'when {i} then execute $call$execute "{name}"{call}$call$;')
        lines.append("end case;")
    body = "\n".join(lines)
    return (
        f"create procedure rounds_{number}(rounds integer, first integer) language plpgsql as $procedure$\n"
        f"begin for turn in first .. first + rounds loop\n{body}\nrollback; end loop; end $procedure$"
    )


WAITING = """
insert into flowstone.waits (run_id, asset, key, name, kind, attempt, deadline)
select 'run-' || n, 'a', '', 'nap', 'sleep', 1, case when n = 2 then 'epoch'::timestamptz end
from generate_series(1, 2) as n
"""


CLAIMS = """
insert into flowstone.pool_claims (node, claim, pool, slots, alone, priority, arrival, granted, run_id, step)
select 'n' || node, claim, pool, 1, claim <= 2, 0, 2 * claim + node, claim = 1, 'run-1', 'a'
from generate_series(1, 2) as node, (values (1, 'q'), (1, 'r'), (2, 'p'), (3, 'p'), (3, 'q'), (4, 'q'), (4, 'r')
) as held(claim, pool)
"""


TOKENS = """
insert into flowstone.access_tokens (digest, name, role, created_at)
values ('t1', 'ada', 'read', now()), ('t2', 'bob', 'read', now());
insert into flowstone.sessions (digest, token, expires_at)
select 's' || n, 't' || 1 + n % 2, case when n > 3 then 'infinity' else 'epoch' end::timestamptz
from generate_series(1, 6) as n;
"""


async def fill(store):
    """Runs that go on and runs that are done, values with several versions, leases, partitions, nodes."""
    for name in DONE:
        await store.create_run(run(name))
        ended = [end(asset, key, run_id=name, location=f"l/{name}/{asset}/{key}") for asset, key in KEYS]
        await store.write(start("a", "1", run_id=name))
        await store.write_many([begun(name), start("a", "2", run_id=name), *ended, over(name)])
    await store.deliveries.follow(
        "sales", [Follower(name, exact_kinds((), recorded=True)) for name in ("all", "other")]
    )
    definitions = [Definition(name, "sensor", "z") for name in ("a1", "a2")]
    await store.automations.define({"sales": definitions}, now=at(0))
    for name in RUNS:
        await store.cluster.submit(run(name))
    await store.invalidate(KEYS[2:])
    await store.add_partitions("s", ["k1", "k2", "k3"])
    for number in (1, 2):
        await store._database.fetch("join", f"n{number}", "host", 1, "1.0", ["sales"], 4, 15.0, 0.0)
    for statement in (
        "update flowstone.runs set owner = 'n1' where id = 'run-3'",
        "delete from flowstone.queue where dedupe_key = 'run-3'",
        "insert into flowstone.payloads select 'l/' || n, '' from generate_series(1, 3) as n",
        "insert into flowstone.payloads select location, '' from flowstone.materializations",
        "insert into flowstone.step_leases select 'run-1', asset, key, 1, 0, 'n1' from flowstone.current",
        "update flowstone.runs set long = true where finish_order is not null",
        "insert into flowstone.journals select gen_random_uuid(), 1, null, 'epoch' from generate_series(1, 9)",
        WAITING,
        ITEMS,
        LOGS,
        TOKENS,
        "update flowstone.queue_log set created = 'epoch'",
        *(f"select flowstone.define_pools('n{n}', '{{p,q,r}}', '{{1,2,2}}')" for n in (1, 2)),
        CLAIMS,
    ):
        await store._database._pool.execute(statement)
