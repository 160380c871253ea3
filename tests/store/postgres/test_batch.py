"""What fits into one batch: entries that cannot concern each other, in order."""

from __future__ import annotations

import asyncio
import random
from collections import deque

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from flowstone.store.postgres.batch import Creation, Write, arguments, gather
from flowstone.store.postgres.texts import joined
from tests.store.facts import begun, end, over, run, start


def write(*events, payload=None) -> Write:
    """An entry that nobody waits for."""
    return Write.of(list(events), 0, None, payload)


def batches(*entries):
    """What is taken, batch after batch, as places in what was given."""
    waiting = deque(entries)
    found = []
    while waiting:
        found.append([entries.index(entry) for entry in gather(waiting)])
    return found


def test_steps_of_one_run_go_together():
    """Nothing about one depends on the other."""
    assert batches(write(begun()), write(start("a")), write(start("b")), write(end("c"))) == [[0, 1, 2, 3]]


def test_a_step_is_in_a_batch_once():
    """The second entry about a step is judged by what the first one left."""
    assert batches(write(start("a")), write(end("a")), write(start("b"))) == [[0], [1, 2]]


def test_the_same_step_of_another_run_is_another_step():
    """Steps are a run's."""
    assert batches(write(end("a")), write(end("a", run_id="run-2"))) == [[0, 1]]


def test_nothing_follows_the_end_of_a_run():
    """It is refused by what is stored then."""
    assert batches(write(end("a")), write(over()), write(end("b")), write(end("b", run_id="run-2"))) == [
        [0, 1, 3],
        [2],
    ]


def test_a_run_keeps_its_order():
    """Whatever comes behind an entry that waits, waits as well."""
    assert batches(write(start("a")), write(end("a")), write(over())) == [[0], [1, 2]]


def test_half_of_a_crowd():
    """Asked for half, a batch leaves the other half of many entries, and takes few entries whole."""
    for crowd, taken in ((15, 15), (16, 8), (101, 50)):
        waiting = deque(write(start(str(number))) for number in range(crowd))
        assert len(gather(waiting, half=True)) == taken
        assert len(waiting) == crowd - taken


def test_a_batch_is_bounded():
    """A thousand entries at most, halved or not."""
    for half in (False, True):
        assert len(gather(deque(write(start(str(number))) for number in range(5_000)), half=half)) == 1_000


def test_large_payloads_do_not_pile_up():
    """A batch is a few megabytes at most, if it is more than one entry."""
    made = [write(end(str(n), location=f"l{n}"), payload=b"x" * 1_500_000) for n in range(4)]
    assert batches(*made) == [[0, 1], [2, 3]]
    assert batches(write(end("a", location="l"), payload=b"x" * 9_000_000)) == [[0]]


def test_arguments_are_columns():
    """Each writer's rows carry its place; creations are told apart."""

    async def make():
        loop = asyncio.get_running_loop()
        return [
            Creation("run-1", loop.create_future(), run()),
            write(start("c", "x")),
            write(begun()),
            write(end("a", inputs=[("b", "x")], location="l"), payload=b"v"),
        ]

    given_, creations, writes = arguments(asyncio.run(make()))
    assert len(given_) == 2 + 13 + 2 + 15 + 5 + 9 + 17 + 5 + 2
    assert (len(creations), len(writes)) == (1, 3)
    columns = [text.split(given_[0])[1:] for text in given_[2:-1]]
    assert columns[0] == ["run-1"]
    runs, starts, events, ends = columns[15:30], columns[30:35], columns[35:44], columns[44:61]
    assert runs[:2] == [["run-1"], ["3"]]
    assert runs[7:12] == [["1"], ["0"], ["0"], ["0"], ["0"]]
    assert starts == [["1"], ["run-1"], ["2025-01-15T00:00:01+00:00"], ["c"], ["x"]]
    assert events[:4] == [["2"], ["2"], ["run-1"], ["run.started"]]
    assert ends[:4] == [["3"], ["3"], ["run-1"], ["a"]]
    assert columns[61] == ["b"]
    assert columns[-1] == ["l"]
    assert given_[-1] == [b"v"]


def test_starts_follow_one_another():
    """Those of a run are in one row, at the place of the first; what comes behind it comes behind them all."""
    entries = [
        write(start("z", run_id="run-2")),
        write(begun()),
        write(start("a")),
        write(end("b")),
        write(start("c")),
    ]
    given_, *_ = arguments(entries)
    columns = [text.split(given_[0])[1:] for text in given_[2:-1]]
    assert columns[15:17] == [["run-2", "run-1"], ["1", "4"]]
    assert columns[27:30] == [["1", "3"], ["1", "2"], ["1", "3"]]
    assert columns[30:32] == [["1", "3", "5"], ["run-2", "run-1", "run-1"]]
    assert columns[36] == ["1"]
    assert columns[45] == ["4"]


PIECES = [
    "",
    "NULL",
    '"',
    "\\",
    "{a,b}",
    " ",
    "\n",
    "\x01",
    "\x1e",
    "\x1f",
    "\x7f",
    "ü€😀",
    "\ue000",
    "\ue001",
    None,
]


async def test_columns_are_what_was_given(database):
    """Whatever is in them, separators included, for the database they are the same lists."""
    connection = await asyncpg.connect(database)
    chance = random.Random(7)
    made = [["".join(chance.choices(PIECES[:-1], k=3)) for _ in range(9)] for _ in range(100)]
    for columns in ([PIECES], [[""]], [[None, ""], ["a", None]], made, *([each] for each in made)):
        separator, none, texts = joined(columns)
        for text, column in zip(texts, columns, strict=True):
            found = await connection.fetchval(
                "select (string_to_array($1, $2, $3))[2:]", text, separator, none
            )
            assert found == column
    assert joined([[None, None], []])[2] == ["", ""]
    await connection.close()


@given(
    st.lists(
        st.builds(
            lambda run_id, asset, kind: write(
                {
                    "start": start(asset, run_id=run_id),
                    "end": end(asset, run_id=run_id),
                    "over": over(run_id),
                }[kind]
            ),
            st.sampled_from(["run-1", "run-2"]),
            st.sampled_from("ab"),
            st.sampled_from(["start", "end", "over"]),
        ),
        max_size=12,
    )
)
def test_every_entry_is_taken_once_in_the_order_of_its_run(entries):
    """No entry is lost or doubled, and no batch holds two entries that concern each other."""
    taken = batches(*entries)
    assert sorted(place for batch in taken for place in batch) == list(range(len(entries)))
    for run_id in ("run-1", "run-2"):
        order = [place for batch in taken for place in batch if entries[place].run_id == run_id]
        assert order == sorted(order)
    for batch in taken:
        steps = [step for place in batch for step in entries[place].steps]
        assert len(steps) == len(set(steps))
        for position, place in enumerate(batch):
            if entries[place].finishes:
                later = [entries[other].run_id for other in batch[position + 1 :]]
                assert entries[place].run_id not in later
