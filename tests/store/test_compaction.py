"""A journal that is compacted while its store lives, beside writers, kills, full disks and lost files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
from functools import partial

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.runs.items import ItemRow
from flowstone.runs.records import Status
from flowstone.store import FileStore, compaction, summary
from flowstone.store import file as file_module
from flowstone.store.codec import encode_item
from flowstone.store.compaction import _Work
from flowstone.store.items import UNKNOWN_IO, ItemSet
from flowstone.store.journal_draft import Draft
from flowstone.store.summary import Summary
from tests.forks import Fork
from tests.store.deaths import compact_and_die
from tests.store.facts import begun, end, over, run, start
from tests.store.looking import journal, reread

A, B = ("a", None), ("b", None)


@pytest.fixture
def eager(monkeypatch):
    """Journals are looked at from the first byte on."""
    monkeypatch.setattr(compaction, "_LEAST", 0)


class Gate:
    """Holds a compaction before one of its steps, on whatever thread that is."""

    def __init__(self, monkeypatch, owner: type, name: str, *, error: Exception | None = None) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        step = getattr(owner, name)

        def held(*arguments):
            self.reached.set()
            assert self.open.wait(60)
            if error is not None:
                raise error
            return step(*arguments)

        monkeypatch.setattr(owner, name, held)


def look(store) -> None:
    """Have it look at the journal now, whatever its size."""
    store._compactor._due = 0
    store._compactor.look()


async def reached(gate: Gate) -> None:
    """Wait until a compaction is held."""
    assert await asyncio.to_thread(gate.reached.wait, 60)


async def live(store, *, begin: int, lives: int) -> None:
    """Runs of one asset, of which retention leaves three."""
    for number in range(begin, begin + lives):
        name = f"run-{number:04}"
        await store.create_run(run(name))
        steps = [
            end("a", run_id=name, second=number),
            end("b", run_id=name, second=number, status=Status.FAILED),
        ]
        await store.write_many([begun(name), start("a", run_id=name), *steps, over(name)])
        await store.prune(keep_versions=2, keep_runs=3)
        await store.audit.prune(6)


async def everything(store) -> list:
    """All that the store answers about these runs."""
    heads = await store.runs()
    return [
        heads,
        [await store.events(head.id) for head in heads],
        [await store.steps(head.id) for head in heads],
        [await store.history(key) for key in (A, B)],
        await store.current([A, B]),
    ]


async def test_a_living_journal_stays_small(eager, store, directory):
    """However long a process lives, its journal is as large as what retention keeps, with the same answers."""
    sizes = []
    for round_ in range(12):
        await live(store, begin=10 * round_, lives=10)
        await store._compactor.idle()
        sizes.append(journal(directory).stat().st_size)
    assert max(sizes[6:]) < 2 * max(sizes[:6])
    assert await everything(await reread(directory)) == await everything(store)
    await store.close()
    again = FileStore(directory)
    await again.open()
    assert await everything(again) == await everything(store)
    await again.close()
    assert sorted(path.name for path in directory.iterdir()) == ["journal.jsonl", "journal.lock"]


async def test_writers_do_not_wait_for_a_compaction(store, directory, monkeypatch):
    """While a compaction is at it, writes are acknowledged; afterwards they are in the new journal, in order."""
    gate = Gate(monkeypatch, Summary, "write")
    before = journal(directory).stat().st_ino
    await live(store, begin=0, lives=10)
    look(store)
    await reached(gate)
    await live(store, begin=10, lives=10)
    assert journal(directory).stat().st_ino == before
    gate.open.set()
    await store._compactor.idle()
    assert journal(directory).stat().st_ino != before
    assert await everything(await reread(directory)) == await everything(store)
    await store.create_run(run("run-9999"))
    assert await everything(await reread(directory)) == await everything(store)


async def test_a_journal_that_is_alive_is_not_written_anew(eager, store, directory):
    """Without garbage a look changes nothing, and the next one waits until the journal has doubled."""
    before = journal(directory).stat().st_ino
    for number in range(100):
        await store.write(end("a", str(number)))
        await store._compactor.idle()
    assert journal(directory).stat().st_ino == before
    assert store._compactor._due > journal(directory).stat().st_size
    assert store.problem is None


async def test_items_are_compacted(eager, store, directory):
    """What is known of items goes when they are forgotten; what is needed, or has a value to be deleted, stays."""
    sizes = []
    for number in range(60):
        name = f"run-{number:04}"
        await store.create_run(run(name))
        for asset in ("a", "b"):
            rows = [ItemRow(at, 1, 1, None, None, f"{name}/{asset}/{at}") for at in range(20)]
            await store.items.record(name, (asset, None), 0, rows, io="files")
        steps = [end("a", run_id=name), end("b", run_id=name, status=Status.FAILED)]
        await store.write_many([begun(name), *steps, over(name)])
        await store.prune(keep_versions=1, keep_runs=2)
        await store.audit.prune(4)
        for one in await store.items.unneeded(["a", "b"], limit=9):
            await store.items.forget(one.run_id, one.step, up_to=9)
            await store.items.forget(one.run_id, one.step)
        await store._compactor.idle()
        sizes.append(journal(directory).stat().st_size)
    assert max(sizes[30:]) < 2 * max(sizes[:30])
    await store.close()
    file_module.rewrite(journal(directory), file_module.snapshot(store.state), 0o600)
    text = journal(directory).read_text()
    names = [f"run-{number:04}/{asset}" for number in range(60) for asset in ("a", "b")]
    assert [name for name in names if f"{name}/7" in text] == ["run-0058/b", "run-0059/a", "run-0059/b"]
    again = await reread(directory)
    for run_id, asset in (("run-0058", "b"), ("run-0059", "a"), ("run-0059", "b")):
        assert len(await again.items.rows(run_id, (asset, None))) == 20


async def test_items_that_wait_to_be_deleted_outlive_a_compaction(store, directory):
    """As far as they are known, by the IO manager that keeps their values."""
    await store.create_run(run("run-1"))
    rows = [ItemRow(at, 1, 1, None, None, f"run-1/{at}") for at in range(300)]
    await store.items.record("run-1", A, 0, rows, io="files")
    await store.write(over("run-1", Status.FAILED))
    await store.prune(keep_versions=1, keep_runs=0)
    await store.items.forget("run-1", A, up_to=249)
    for _ in range(2):
        await store.close()
        file_module.rewrite(journal(directory), file_module.snapshot(store.state), 0o600)
        store = FileStore(directory)
        await store.open()
        assert await store.items.unneeded(["a"], limit=9) == [ItemSet("run-1", A, "files")]
        assert await store.items.rows("run-1", A) == rows[250:]
    await store.items.forget("run-1", A)
    await store.close()
    file_module.rewrite(journal(directory), file_module.snapshot(store.state), 0o600)
    assert "run-1/" not in journal(directory).read_text()


async def test_items_of_an_older_journal_are_handed_out(store, directory):
    """Where nobody noted who keeps their values, the record of the step says it, or else the asset of today."""
    for name, status in (("run-1", Status.SUCCEEDED), ("run-2", Status.FAILED), ("run-3", Status.SUCCEEDED)):
        await store.create_run(run(name))
        row = ItemRow(0, 1, 1, None, None, name)
        record = partial(store.state.record_items, name, A, 0, [row], UNKNOWN_IO)
        await store._change(["items", name, *A, 0, [encode_item(row)]], record)
        await store.write_many([end("a", run_id=name, status=status, io="files"), over(name)])
    await store.prune(keep_versions=1, keep_runs=0)
    await store.close()
    again = FileStore(directory)
    await again.open()
    expected = [ItemSet("run-1", A, "files"), ItemSet("run-2", A, UNKNOWN_IO)]
    assert sorted(await again.items.unneeded(["a"], limit=9)) == expected
    await again.close()


async def test_a_compaction_without_room_is_put_off(store, directory, monkeypatch):
    """A disk without room for a second journal goes on with the first, and health says why until there is room."""
    with monkeypatch.context() as patch:
        Gate(patch, Draft, "sync", error=OSError(28, "No space left on device")).open.set()
        await live(store, begin=0, lives=10)
        look(store)
        await store._compactor.idle()
    assert "not compacted" in store.problem
    assert "No space left on device" in store.problem
    assert not (directory / "journal.jsonl.new").exists()
    await store.create_run(run("run-9999"))
    assert await everything(await reread(directory)) == await everything(store)
    assert store._compactor._due >= 2 * journal(directory).stat().st_size - 2_000
    look(store)
    await store._compactor.idle()
    assert store.problem is None
    assert await everything(await reread(directory)) == await everything(store)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        ("raise SystemExit('no module named x')", "no module named x"),
        ("print('not a journal')", "not a journal of FlowStone"),
    ],
)
async def test_a_process_that_fails_costs_nothing(store, directory, monkeypatch, program, says):
    """However the process ends that summarises a journal, the store goes on, says why, and tries again later."""
    with monkeypatch.context() as patch:
        patch.setattr(summary, "_PROGRAM", program)
        await live(store, begin=0, lives=10)
        look(store)
        await store._compactor.idle()
    assert says in store.problem
    assert sorted(path.name for path in directory.iterdir()) == ["journal.jsonl", "journal.lock"]
    await store.create_run(run("run-9999"))
    assert await everything(await reread(directory)) == await everything(store)
    look(store)
    await store._compactor.idle()
    assert store.problem is None


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_an_orphaned_summary_ends(tmp_path, monkeypatch):
    """The process that summarises a journal gives up when the store's process has died."""
    asyncio.run(prepare(tmp_path))
    parents = iter([1, 1, 2])
    monkeypatch.setattr(summary.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(summary.os, "nice", lambda _: None)
    monkeypatch.setattr(sys, "stdout", (tmp_path / "draft").open("wb"))
    with sys.stdout, pytest.raises(SystemExit):
        summary.main(str(journal(tmp_path)), journal(tmp_path).stat().st_size, 10**9)


@pytest.mark.parametrize(
    ("owner", "step"),
    [(_Work, "prepare"), (Summary, "write"), (Draft, "sync"), (_Work, "switch"), (_Work, "clean")],
)
async def test_closing_ends_a_compaction(store, directory, monkeypatch, owner, step):
    """A store that is closed leaves nothing of a compaction behind and loses nothing, whatever it is at."""
    gate = Gate(monkeypatch, owner, step)
    await live(store, begin=0, lives=10)
    look(store)
    await reached(gate)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    gate.open.set()
    await closing
    assert sorted(path.name for path in directory.iterdir()) == ["journal.jsonl", "journal.lock"]
    assert await everything(await reread(directory)) == await everything(store)


async def test_a_journal_replaced_during_a_compaction_is_left_alone(store, directory, monkeypatch):
    """A draft never takes the place of a file that something else put there."""
    gate = Gate(monkeypatch, Draft, "sync")
    await live(store, begin=0, lives=10)
    look(store)
    await reached(gate)
    shutil.copy(journal(directory), directory / "edited")
    (directory / "edited").replace(journal(directory))
    before = journal(directory).read_bytes()
    gate.open.set()
    await store._compactor.idle()
    with pytest.raises(StoreUnavailable, match="another file"):
        await store.create_run(run("run-9999"))
    assert journal(directory).read_bytes() == before
    assert not (directory / "journal.jsonl.new").exists()


async def test_damage_that_a_compaction_meets_is_told(store, directory, monkeypatch):
    """What is wrong with a line is known before the next opening, and nothing is made of such a journal."""
    gate = Gate(monkeypatch, _Work, "switch")
    await live(store, begin=0, lives=10)
    with journal(directory).open("r+b") as file:
        file.seek(200)
        file.write(b"\x00")
    look(store)
    await store._compactor.idle()
    assert "journal.jsonl, line 2: " in store.problem
    assert not gate.reached.is_set()


async def test_a_directory_that_does_not_sync_acknowledges_nothing(store, directory, disk, monkeypatch):
    """After the rename nothing is acknowledged until the new name is durable, and then the store goes on."""
    gate = Gate(monkeypatch, _Work, "switch")
    await live(store, begin=0, lives=10)
    look(store)
    await reached(gate)
    monkeypatch.setattr(disk, "broken", {"fsync"})
    gate.open.set()
    await store._compactor.idle()
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        await store.create_run(run("run-9999"))
    disk.broken.clear()
    await store.create_run(run("run-9999"))
    assert await everything(await reread(directory)) == await everything(store)


async def prepare(directory) -> None:
    """A store with mostly dead lines and the unfinished run that the program writes to."""
    store = FileStore(directory)
    await store.open()
    await store.create_run(run("run-1019x"))
    await live(store, begin=1000, lives=20)
    await store.close()


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_kill_9_at_each_instant_of_a_compaction_loses_nothing(tmp_path):
    """Whichever call to the disk is the last one, the journal opens and holds all that was acknowledged."""
    asyncio.run(prepare(tmp_path / "first"))
    for deadly in range(1, 200):
        directory = tmp_path / str(deadly)
        shutil.copytree(tmp_path / "first", directory)
        with Fork(compact_and_die, str(directory), deadly) as process:
            told = process.stdout.read().decode().split()
            status = process.wait(60)
        assert told
        asyncio.run(check(directory, told))
        if told[-1] == "whole":
            break
        assert status == -signal.SIGKILL
    assert told[-1] == "whole"
    assert deadly > 15, deadly


async def check(directory, told: list[str]) -> None:
    """All that was told is there, and the store goes on."""
    store = FileStore(directory)
    await store.open()
    heads = [head.id for head in await store.runs(limit=1000)]
    assert heads == ["run-1019", "run-1018", "run-1017", "run-1019x"]
    steps = {one.partition_key for one in await store.steps("run-1019x")}
    assert steps >= {word for word in told if word.isdecimal()}
    assert len(await store.history(A)) == 2
    await store.write(end("y", run_id="run-1019x"))
    assert sorted(path.name for path in directory.iterdir()) == ["journal.jsonl", "journal.lock"]
    await store.close()


@pytest.fixture
def linked(directory, tmp_path):
    """A store whose journal is a link to a file in another folder."""
    directory.mkdir(parents=True)
    elsewhere = tmp_path / "volume" / "runs.jsonl"
    elsewhere.parent.mkdir()
    journal(directory).symlink_to(elsewhere)
    return elsewhere


async def test_a_link_to_a_journal_stays_a_link(directory, linked):
    """A compaction replaces the file that the link leads to, and its draft lies in that file's folder."""
    store = FileStore(directory)
    await store.open()
    await live(store, begin=0, lives=30)
    before = linked.stat().st_ino
    look(store)
    await store._compactor.idle()
    assert linked.stat().st_ino != before
    assert journal(directory).readlink() == linked
    await store.create_run(run("run-9999"))
    assert await everything(await reread(directory)) == await everything(store)
    await store.close()
    assert [path.name for path in directory.iterdir()] == ["journal.jsonl"]
    assert sorted(path.name for path in linked.parent.iterdir()) == ["journal.lock", "runs.jsonl"]


async def test_a_link_stays_a_link_where_a_journal_is_written_anew_when_opened(
    directory, linked, monkeypatch
):
    """The same goes for a journal that is rewritten as it is opened, and for the draft that a crash left there."""
    monkeypatch.setattr(file_module, "_FEW", -1)
    store = FileStore(directory)
    await store.open()
    await live(store, begin=0, lives=30)
    await store.close()
    draft = linked.with_name("runs.jsonl.new")
    draft.write_bytes(b"torn")
    before = linked.stat().st_ino
    await store.open()
    assert linked.stat().st_ino != before
    assert journal(directory).readlink() == linked
    assert not draft.exists()
    await store.close()
