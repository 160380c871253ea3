"""Journals that are torn, damaged, of another release, or mostly dead."""

from __future__ import annotations

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.runs.records import Status
from flowstone.store import FileStore
from flowstone.store import file as file_module
from flowstone.store.journal_file import encode_line
from tests.store.facts import begun, end, over, record, run, start
from tests.store.looking import journal, reread

A = ("a", None)


async def test_a_journal_cut_at_any_byte_is_read_to_its_last_whole_line(directory, written):
    """A process may die at any byte of a line; what lies before that line is there, and writing goes on."""
    ends = [place + 1 for place, byte in enumerate(written) if byte == ord("\n")]
    for length in range(len(written) + 1):
        journal(directory).write_bytes(written[:length])
        store = FileStore(directory)
        await store.open()
        whole = sum(place <= length for place in ends)
        assert len(await store.runs()) == (whole >= 2)
        assert len(await store.steps("run-1")) == max(0, whole - 2)
        assert journal(directory).read_bytes() == written[: ends[max(0, whole - 1)]]
        await store.close()


async def test_a_torn_journal_goes_on(directory, written):
    """Lines written after a torn one was cut off are read back."""
    journal(directory).write_bytes(written[:-20])
    store = FileStore(directory)
    await store.open()
    await store.write(end("b"))
    await store.close()
    assert [one.name for one in await (await reread(directory)).steps("run-1")] == ["a[0]", "a[1]", "b"]


async def test_a_changed_byte_is_noticed(directory, written):
    """A whole line that is not as it was written is reported, with file, line and remedy."""
    second, third = [place + 1 for place, byte in enumerate(written) if byte == ord("\n")][1:3]
    for place in range(second, third - 1):
        damaged = bytearray(written)
        damaged[place] ^= 1
        journal(directory).write_bytes(damaged)
        with pytest.raises(StoreUnavailable, match=r"journal\.jsonl, line [34]: .*restore the file"):
            await FileStore(directory).open()
        assert journal(directory).read_bytes() == damaged


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
        (["run", []], "damaged data"),
    ],
)
async def test_lines_of_another_making_are_explained(directory, written, operation, says):
    """An intact line that means nothing to this release stops the opening and says why, and where."""
    journal(directory).write_bytes(written + encode_line(operation))
    with pytest.raises(StoreUnavailable, match=f"line 6: .*{says}"):
        await FileStore(directory).open()


async def test_a_newer_format_is_named(directory):
    """A journal of a later format is not touched, and the remedy is to upgrade."""
    directory.mkdir(parents=True)
    journal(directory).write_text('{"flowstone": "journal", "version": 2}\n["..."]\n')
    with pytest.raises(StoreUnavailable, match=r"newer FlowStone.*format 2, this release reads 1.*upgrade"):
        await FileStore(directory).open()


@pytest.mark.parametrize("content", ["hello\n", "[]\n", "{}\n", '{"version": "x"}\n', "\x00\n"])
async def test_a_foreign_file_is_left_alone(directory, content):
    """A file that merely has the journal's name is not taken for one."""
    directory.mkdir(parents=True)
    journal(directory).write_text(content)
    with pytest.raises(StoreUnavailable, match="not a journal of FlowStone; move it"):
        await FileStore(directory).open()
    assert journal(directory).read_text() == content


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
    """All that the store answers about `busy_life`."""
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
