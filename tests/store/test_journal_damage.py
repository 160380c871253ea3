"""Journals that are torn, damaged, of another release, or mostly dead."""

from __future__ import annotations

import logging
import re
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.errors import StoreUnavailable
from flowstone.runs.records import Status
from flowstone.store import FileStore
from flowstone.store import file as file_module
from flowstone.store.journal_lines import Chain, encode_operation
from flowstone.store.journal_reader import read_journal
from flowstone.store.replay import Replay
from tests.store.facts import begun, end, over, record, run, start
from tests.store.looking import journal, reread

A = ("a", None)


async def test_a_line_torn_at_any_byte_was_never_acknowledged(directory, written, caplog):
    """A process may die at any byte of a line; what lies before that line is there, and writing goes on."""
    caplog.set_level(logging.INFO)
    whole = written.splitlines(keepends=True)
    for last in range(1, len(whole)):
        kept = b"".join(whole[:last])
        for length in range(len(whole[last]) - 1):
            caplog.clear()
            journal(directory).write_bytes(kept + whole[last][:length])
            if length % 20 == 0:
                reader = await reread(directory)
                assert len(await reader.steps("run-1")) == max(0, last - 2)
            else:
                assert read_journal(journal(directory), Replay()).length == len(kept)
            torn = [record.getMessage() for record in caplog.records]
            assert len(torn) == (length > 0)
            assert all(f"line {last + 1} was never finished" in text for text in torn)


async def test_a_header_torn_at_any_byte_is_an_empty_journal(directory, written):
    """A process that died while it made the file recorded nothing, and the next one begins it again."""
    header = written.splitlines(keepends=True)[0]
    for length in range(len(header)):
        journal(directory).write_bytes(header[:length])
        store = FileStore(directory)
        await store.open()
        assert len(journal(directory).read_bytes()) == len(header)
        await store.close()


async def test_a_torn_journal_goes_on(directory, written):
    """Lines written after a torn one was cut off are read back."""
    journal(directory).write_bytes(written + b'[7,"0123')
    store = FileStore(directory)
    await store.open()
    assert journal(directory).read_bytes() == written
    await store.write(end("b"))
    await store.close()
    names = [one.name for one in await (await reread(directory)).steps("run-1")]
    assert names == ["a[0]", "a[1]", "a[2]", "b"]


async def test_a_last_line_without_its_newline_is_kept(directory, written):
    """What is known whole is not thrown away, and the line is ended before another one follows."""
    for last in (3, 6):
        lines = written.splitlines(keepends=True)[:last]
        journal(directory).write_bytes(b"".join(lines)[:-1])
        store = FileStore(directory)
        await store.open()
        assert len(await store.steps("run-1")) == min(last, 5) - 2
        await store.write(end("b"))
        await store.close()
        assert len(await (await reread(directory)).steps("run-1")) == min(last, 5) - 1


async def refused(directory, content: bytes, says: str) -> int:
    """A journal of that content is not opened and not changed; returns the number of the line it names."""
    journal(directory).write_bytes(content)
    for read_only in (False, True):
        with pytest.raises(StoreUnavailable, match=says) as refusal:
            await FileStore(directory, read_only=read_only).open()
    assert journal(directory).read_bytes() == content
    return int(re.search(r"journal\.jsonl, line (\d+): ", str(refusal.value))[1])


def unreadable(directory, content: bytes, says: str) -> int:
    """As `refused`, of what reads a journal when a store opens it; much quicker."""
    journal(directory).write_bytes(content)
    with pytest.raises(StoreUnavailable, match=says) as refusal:
        read_journal(journal(directory), Replay())
    return int(re.search(r"journal\.jsonl, line (\d+): ", str(refusal.value))[1])


async def test_a_changed_byte_is_noticed(directory, written):
    """A whole line that is not as it was written, newline and last line included, is reported with its number."""
    for place in range(written.index(b"\n") + 1, len(written)):
        for flip in (1, 0x20):
            damaged = bytearray(written)
            damaged[place] ^= flip
            number = written.count(b"\n", 0, place) + 1
            assert unreadable(directory, bytes(damaged), "restore the file") == number
        if place % 50 == 0 or written[place] == ord("\n"):
            assert await refused(directory, bytes(damaged), "restore the file") == number


async def test_a_missing_line_is_noticed(directory, written):
    """A line that was removed is reported where it was, the last thing recorded included."""
    lines = written.splitlines(keepends=True)
    for gone in range(1, 5):
        content = b"".join(lines[:gone] + lines[gone + 1 :])
        assert await refused(directory, content, f"line {gone + 2} comes here, .*removed") == gone + 1


async def test_a_doubled_line_is_noticed(directory, written):
    """A line that is there twice is reported, even if it would have been refused as a write."""
    lines = written.splitlines(keepends=True)
    for place in range(1, 6):
        content = b"".join([*lines[: place + 1], *lines[place:]])
        assert await refused(directory, content, f"line {place + 1} comes here again") == place + 2


async def test_a_moved_line_is_noticed(directory, written):
    """Two lines that changed places are reported."""
    lines = written.splitlines(keepends=True)
    for place in range(1, 5):
        content = b"".join([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]])
        assert await refused(directory, content, "comes here, .*moved") == place + 1


async def test_a_line_cut_in_the_middle_of_the_journal_is_noticed(directory, written):
    """Bytes that are missing from any line but the last are damage."""
    lines = written.splitlines(keepends=True)
    for place in range(1, 5):
        content = b"".join([*lines[:place], lines[place][:20], *lines[place + 1 :]])
        assert await refused(directory, content, "not as it was written") == place + 1


async def test_a_line_of_another_journal_is_noticed(directory, written):
    """A line with the right number and a right checksum of its own, out of another history, fits nowhere."""
    store = FileStore(directory.with_name("other"))
    await store.open()
    await store.create_run(run("run-2"))
    for number in range(3):
        await store.write(end("a", str(number), run_id="run-2"))
    await store.close()
    lines = written.splitlines(keepends=True)
    others = journal(directory.with_name("other")).read_bytes().splitlines(keepends=True)
    for place in range(1, 6):
        content = b"".join([*lines[:place], others[place], *lines[place + 1 :]])
        assert await refused(directory, content, "not as it was written") == place + 1


def edited(lines: list[bytes], edits) -> bytes:
    """A journal after something went over it: lines removed, doubled, moved or cut, bytes changed, the end lost."""
    content = list(lines)
    for what, place, other in edits:
        here, there = 1 + place % max(1, len(content) - 1), 1 + other % max(1, len(content) - 1)
        if here >= len(content) or there >= len(content):
            continue
        match what:
            case "remove":
                del content[here]
            case "double":
                content.insert(there, content[here])
            case "move":
                content.insert(there, content.pop(here))
            case "cut":
                content[here] = content[here][: other % len(content[here])]
            case "change":
                line = bytearray(content[here])
                line[other % len(line)] ^= 1 + place % 255
                content[here] = bytes(line)
            case "end":
                content = b"".join(content)[: -(1 + other)].splitlines(keepends=True) or [b""]
        content = b"".join(content).splitlines(keepends=True) or [b""]
    return b"".join(content)


edits = st.lists(
    st.tuples(
        st.sampled_from(["remove", "double", "move", "cut", "change", "end"]),
        st.integers(0, 1000),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=edits)
async def test_no_damage_gives_other_facts(tmp_path, written, edits):
    """Whatever is done to a journal, it is refused, or it says what it said up to some line and nothing else."""
    path = tmp_path / "damaged.jsonl"
    lines = written.splitlines(keepends=True)
    content = edited(lines, edits)
    path.write_bytes(content)
    replay = Replay()
    try:
        end_ = read_journal(path, replay)
    except StoreUnavailable:
        assert content != written
        return
    finally:
        path.unlink()
    assert written.startswith(content[: end_.length])
    steps = replay.history.find("run-1").records if replay.history.find("run-1") else []
    said = written[: end_.length].splitlines()
    assert len(steps) == max(0, min(len(said), 5) - 2)


async def test_the_remedy_forgets_what_it_says_and_changes_nothing_else(directory, store):
    """A journal without a damaged line and all that follow it is the store as it was before that line."""
    states = [await everything(store)]
    for number, write in enumerate(
        [
            store.write(end("a", second=5)),
            store.claim("run-1", "node", epoch=0),
            store.write(end("b", inputs=[A]), 1),
            store.invalidate([A]),
            store.write(over(), 1),
            store.prune(keep_versions=0, keep_runs=0),
        ],
        3,
    ):
        await write
        states.append(await everything(store))
        assert journal(directory).read_bytes().count(b"\n") == number
    await store.close()
    lines = journal(directory).read_bytes().splitlines(keepends=True)
    for number in range(3, 9):
        damaged = b"".join([*lines[: number - 1], lines[number - 1].replace(b'"', b"'", 1), *lines[number:]])
        says = f"delete line {number} and every line after it: that forgets what they recorded, and changes"
        assert await refused(directory, damaged, says) == number
        journal(directory).write_bytes(b"".join(damaged.splitlines(keepends=True)[: number - 1]))
        assert await everything(await reread(directory)) == states[number - 3]


async def test_a_summary_is_true_as_a_whole_or_not_read(store, directory, monkeypatch):
    """After compaction there is no remedy but a copy for a line of the summary, and a cut in it is noticed."""
    await busy_life(store)
    await store.close()
    monkeypatch.setattr(file_module, "_FEW", 10)
    await store.open()
    await store.close()
    lines = journal(directory).read_bytes().splitlines(keepends=True)
    (whole,) = (number for number, line in enumerate(lines) if b'["summary"]' in line)
    for number in range(2, whole + 1):
        assert await refused(directory, b"".join(lines[:number]), "ends within a summary") == number + 1
        damaged = b"".join([*lines[:number], b"x", *lines[number:]])
        assert await refused(directory, damaged, "restore the file.*no other remedy") == number + 1


def nested(depth: int) -> list:
    """An operation that no release wrote."""
    operation: list = ["add", "names", []]
    for _ in range(depth):
        operation = [operation]
    return operation


async def test_deep_nesting_is_explained(directory, written):
    """A line nested more deeply than can be read is damage like any other, and no such line is written."""
    body = b"[" * 100_000 + b"]" * 100_000
    assert await refused(directory, lines_of(written, [body]), "nested more deeply.*restore") == 7
    with pytest.raises(ValueError, match="nested too deeply to be recorded"):
        encode_operation(["events", nested(100_000)])


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        (["events", 0, [{"kind": "step.dreamt"}]], "step.dreamt.*newer FlowStone.*upgrade"),
        (["dream", 1], "'dream'.*newer FlowStone.*upgrade"),
        (["run", {"id": "x", "dream": 1}], "unknown field dream.*newer FlowStone.*upgrade"),
        (["run", {"id": "x"}], "damaged data for a RunRecord"),
        (["run"], "damaged data"),
        (["steps", "run-9", []], "run-9"),
        (["steps", "run-1", [["a", "9"]]], "damaged data"),
        (["log", "run-1", [["a", "9"]]], "without the record"),
        (["events", 0, [7]], "unknown kind None"),
        ({}, "damaged data"),
        ([["run"], {}], "damaged data"),
        (["run", []], "damaged data"),
    ],
)
async def test_lines_of_another_making_are_explained(directory, written, operation, says):
    """An intact line that means nothing to this release stops the opening and says why, and where."""
    content = lines_of(written, [encode_operation(operation)])
    assert await refused(directory, content, says) == 7


async def test_a_newer_format_is_named(directory):
    """A journal of a later format is not touched, and the remedy is to upgrade."""
    directory.mkdir(parents=True)
    journal(directory).write_text('{"flowstone": "journal", "version": 3}\n["..."]\n')
    with pytest.raises(StoreUnavailable, match=r"newer FlowStone.*format 3, this release reads 2.*upgrade"):
        await FileStore(directory).open()


@pytest.mark.parametrize("content", ["hello\n", "[]\n", "{}\n", '{"version": "x"}\n', "\x00\n"])
async def test_a_foreign_file_is_left_alone(directory, content):
    """A file that merely has the journal's name is not taken for one."""
    directory.mkdir(parents=True)
    journal(directory).write_text(content)
    with pytest.raises(StoreUnavailable, match="not a journal of FlowStone; move it"):
        await FileStore(directory).open()
    assert journal(directory).read_text() == content


def lines_of(before: bytes, bodies: list[bytes]) -> bytes:
    """A journal with further lines."""
    chain = Chain.of(before.splitlines(keepends=True)[0])
    for line in before.splitlines(keepends=True)[1:]:
        chain.open(line)
    return before + chain.seal(bodies)


def version_1(content: bytes) -> bytes:
    """The same operations as version 1 of the format had them."""
    bodies = [line[line.index(b",[") + 1 : -1] for line in content.splitlines()[1:]]
    lines = [b'["%08x",%b]\n' % (zlib.crc32(body), body) for body in bodies if body != b'["closed"]']
    return b'{"flowstone": "journal", "version": 1}\n' + b"".join(lines)


async def test_a_journal_of_the_older_format_is_brought_up_to_date(store, directory):
    """It is read, written in today's format at opening, and says what it said; a reader leaves it as it is."""
    await busy_life(store)
    await store.close()
    before = await everything(store)
    old = version_1(journal(directory).read_bytes())
    for torn in (b"", b'["0123'):
        journal(directory).write_bytes(old + torn)
        assert await everything(await reread(directory)) == before
        assert journal(directory).read_bytes() == old + torn
        await store.open()
        assert await everything(store) == before
        assert journal(directory).read_bytes().startswith(b'{"flowstone": "journal", "version": 2, ')
        await store.close()
        assert await everything(await reread(directory)) == before


async def test_damage_in_the_older_format_is_reported(directory, written):
    """What its checksums can tell is told, before anything is written in today's format."""
    old = version_1(written)
    for place in range(old.index(b"\n") + 1, len(old) - 1):
        if old[place] != ord("\n"):
            damaged = bytearray(old)
            damaged[place] ^= 1
            number = old.count(b"\n", 0, place) + 1
            assert unreadable(directory, bytes(damaged), "restore the file") == number
            if place % 50 == 0:
                assert await refused(directory, bytes(damaged), "restore the file") == number


async def test_an_older_journal_stays_if_there_is_no_room_for_a_new_one(directory, written, disk):
    """It cannot be written to as it is, so the store says what it lacks and changes nothing."""
    old = version_1(written)
    journal(directory).write_bytes(old)
    disk.room = 100
    with pytest.raises(StoreUnavailable, match="No space left on device"):
        await FileStore(directory).open()
    assert journal(directory).read_bytes() == old
    assert sorted(path.name for path in directory.iterdir()) == ["journal.jsonl", "journal.lock"]


async def busy_life(store) -> None:
    """Thirty runs of one asset, of which retention leaves three."""
    for number in range(30):
        name = f"run-{number + 2:02}"
        await store.create_run(run(name))
        steps = [
            end("a", run_id=name, second=number),
            end("b", run_id=name, second=number, status=Status.FAILED),
        ]
        await store.write_many([begun(name), start("a", run_id=name), *steps, over(name)])
    await store.prune(keep_versions=2, keep_runs=3)


async def everything(store) -> list:
    """All that the store answers about a few assets."""
    heads = await store.runs()
    return [
        heads,
        [await store.events(head.id) for head in heads],
        [await store.steps(head.id) for head in heads],
        [await store.history(key) for key in (A, ("b", None))],
        await store.current([A, ("b", None)]),
    ]


async def test_dead_lines_are_compacted_away(store, directory, monkeypatch):
    """A journal of mostly dead facts is rewritten at `open`, smaller and with the same answers."""
    await busy_life(store)
    await store.close()
    before, size = await everything(store), journal(directory).stat().st_size
    monkeypatch.setattr(file_module, "_FEW", 10)
    await store.open()
    assert await everything(store) == before
    assert journal(directory).stat().st_size < size / 3
    await store.write(end("after"))
    assert (await (await reread(directory)).step("run-1", ("after", None))) == record("after")
    assert await everything(await reread(directory)) == await everything(store)


async def test_retention_with_nothing_to_do_writes_nothing(store, directory):
    """Asking for retention again and again does not make a journal grow."""
    await busy_life(store)
    size = journal(directory).stat().st_size
    for _ in range(10):
        assert await store.prune(keep_versions=2, keep_runs=3) == []
    assert journal(directory).stat().st_size == size
    assert len(await store.prune(keep_versions=1, keep_runs=3)) == 1
    assert journal(directory).stat().st_size > size


async def test_a_live_journal_is_left_alone(store, directory, monkeypatch):
    """Without much that is dead there is nothing to gain, and the file stays as it is."""
    await store.write_many([end("a", str(number)) for number in range(50)])
    await store.close()
    before = journal(directory).read_bytes()
    monkeypatch.setattr(file_module, "_FEW", 10)
    await store.open()
    assert journal(directory).read_bytes() == before


async def test_compaction_without_room_is_put_off(store, directory, disk, monkeypatch):
    """A disk without room for a second journal goes on with the first."""
    await busy_life(store)
    await store.close()
    before = journal(directory).read_bytes(), await everything(store)
    monkeypatch.setattr(file_module, "_FEW", 10)
    disk.broken = {"fsync"}
    await store.open()
    assert (journal(directory).read_bytes(), await everything(store)) == before
    assert sorted(path.name for path in directory.iterdir()) == ["journal.jsonl", "journal.lock"]


async def test_what_a_dead_compaction_left_is_removed(directory, written):
    """A half-written successor of the journal is ignored and removed."""
    successor = directory / "journal.jsonl.new"
    successor.write_bytes(written[:40])
    store = FileStore(directory)
    await store.open()
    assert not successor.exists()
    assert len(await store.steps("run-1")) == 3
    await store.close()
