"""The page of what lives: nodes, the supervision tree of one, and what crashed in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flowstone import NodeStatus, Pipeline, ResourceProvider, Runtime
from flowstone.actors import ProcessInfo
from flowstone.server.views.process_rows import crashes_of, rows_of

NOW = datetime(2026, 11, 28, 15, 10, 24, tzinfo=UTC)
AGO = timedelta(seconds=4)


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    return pipeline


def process(name, kind="runnable", state="running", children=(), **more):
    return ProcessInfo(name, kind, state, children=tuple(children), **more)


def sensors(**more):
    """Three siblings, of which the second crashed and took the third along."""
    return process(
        "sensors",
        "supervisor",
        detail="rest_for_one",
        children=[
            process("clock"),
            process(
                "landing",
                restarts=3,
                restarted_at=NOW - AGO,
                crash="OSError: s3 <b>",
                restart_times=(NOW - timedelta(hours=2), NOW - timedelta(minutes=30), NOW - AGO),
            ),
            process("callback", "actor", restarts=3, restarted_at=NOW - AGO + timedelta(milliseconds=12)),
        ],
        **more,
    )


def test_what_has_just_crashed_and_what_it_took_along_stand_out():
    """For a minute; what neither did nor was restarted does not."""
    tree = process("runtime", "supervisor", children=[sensors()])
    assert [(row.process.name, row.shape, row.says) for row in rows_of(tree, NOW)[2:]] == [
        ("clock", "", ""),
        ("landing", "flash", "crashed: OSError: s3 <b>"),
        ("callback", "took", "restarted with it"),
    ]
    later = rows_of(tree, NOW + timedelta(minutes=1))
    assert [row.shape for row in later[3:]] == ["", ""]
    (crash,) = crashes_of(tree, NOW)
    assert (crash.process.name, crash.above.name, crash.along) == ("landing", "sensors", ["callback"])
    assert crashes_of(tree, NOW + timedelta(hours=2)) == []


def test_restarts_of_the_last_hour_are_marks_on_a_lane():
    """The newest at its right end; what is longer ago has left it."""
    tree = process("runtime", "supervisor", children=[sensors()])
    assert rows_of(tree, NOW)[3].marks == [43.5, 86.9]
    assert rows_of(tree, NOW + timedelta(minutes=45))[3].marks == [21.7]
    assert [row.marks for row in rows_of(tree, NOW)[:3]] == [[], [], []]


def test_a_process_that_is_being_restarted_has_crashed():
    """There is nothing yet that says when."""
    tree = process("runtime", "supervisor", children=[process("a", state="restarting")])
    assert [row.shape for row in rows_of(tree, NOW)] == ["", "flash"]


def test_what_is_quiet_may_be_folded():
    """A supervisor below which everything runs and nothing waits; not the root, and not what is to be seen."""

    def tree(**last):
        many = [process("a"), process("b", "actor"), process("c", **last)]
        return process("runtime", "supervisor", children=[process("cluster", "supervisor", children=many)])

    assert [row.folds for row in rows_of(tree(), NOW)] == [0, 3, 0, 0, 0]
    for trouble in (
        {"mailbox_depth": 1},
        {"state": "starting"},
        {"abandoned": ("x",)},
        {"restarted_at": NOW - timedelta(minutes=30), "crash": "E"},
    ):
        assert [row.folds for row in rows_of(tree(**trouble), NOW)] == [0] * 5


def test_lines_lead_to_each_process():
    """One letter a level: passes by, branches off, ends here."""
    tree = process(
        "r",
        "supervisor",
        children=[process("a", children=[process("b"), process("c")]), process("d", children=[process("e")])],
    )
    assert [(row.path, row.rail) for row in rows_of(tree, NOW)] == [
        ("r", ""),
        ("r/a", "t"),
        ("r/a/b", "|t"),
        ("r/a/c", "|l"),
        ("r/d", "l"),
        ("r/d/e", " l"),
    ]


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    """Alone with its store, or one of several nodes."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")


async def test_the_tree_of_this_node_is_shown(visit, store):
    """With its card; by its address as well; of a node that is not there nothing."""
    async with visit(shop(), store=store, automate=True) as visitor:
        node = visitor.runtime.node
        for path in ("/system", f"/system/{node}"):
            page = await visitor.get(path)
            assert page.status_code == 200
            for row in ("watchman", "automation", "rest_for_one", "0 of 64"):
                assert row in page.text
            assert f'href="/system/{node}" aria-current="true"' in page.text
            assert "Nothing crashed." in page.text
        assert (await visitor.get("/system/of-nobody")).status_code == 404


async def test_no_process_is_asked(visit):
    """Nor a resource, whose check may take as long as it likes."""

    class Database(ResourceProvider):
        asked = 0

        async def setup(self):
            return self

        async def teardown(self, _):
            pass

        async def health(self, _):
            self.asked += 1

    database = Database()
    async with visit(shop(), resources={"database": database}) as visitor:
        await visitor.runtime.health()
        before = database.asked
        assert before > 0
        for _ in range(3):
            assert (await visitor.get("/system")).status_code == 200
        assert database.asked == before


async def test_a_silent_node_shows_its_last_tree_and_says_of_when(visit, monkeypatch):
    """Greyed, without a pulse; what others write is text."""
    silent = NodeStatus(
        "boreas/2",
        "b<script>",
        7,
        "0.1.0",
        (),
        8,
        alive=False,
        beat_at=NOW,
        retried={"r1": "its store was away"},
        tree=process("runtime", "supervisor", children=[process("<b>watchman")]),
        tree_at=NOW,
        started_at=NOW - timedelta(days=6, hours=4),
        memory=412_000_000,
        load=0.42,
    )
    whole = Runtime.nodes

    async def nodes(self, *, trees=False):
        return (*await whole(self, trees=trees), silent)

    monkeypatch.setattr(Runtime, "nodes", nodes)
    async with visit(shop()) as visitor:
        page = (await visitor.get("/system/boreas%2F2")).text
        assert "as of 15:10:24" in page
        assert ("412 MB · up " in page, "load 42 %" in page, 'data-load="0.42"' in page) == (True, True, True)
        assert "silent since 15:10:24" in page
        assert "run r1 is tried again: its store was away" in page
        assert "&lt;b&gt;watchman" in page
        assert "b&lt;script&gt;" in page
        assert 'href="/system/boreas%2F2" aria-current="true"' in page
