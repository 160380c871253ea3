"""What items leave behind: after retention a folder holds what current values need, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from flowstone import Each, FileIO, IOManagerError, Pipeline, RunCancelled, RunFailed, RunNotFound, Runtime
from flowstone.runtime.run import reader
from flowstone.runtime.run.retention import Retention

COUNT = 40


@pytest.fixture(params=["memory", "file", "postgres"])
def store(request, tmp_path):
    """The URL of each store."""
    match request.param:
        case "memory":
            return "memory://"
        case "file":
            return f"file://{tmp_path}/runs"
        case _:
            return request.getfixturevalue("database")


@pytest.fixture(autouse=True)
def short_pages(monkeypatch):
    """What is read is kept in many objects."""
    monkeypatch.setattr(reader, "PAGE", 4)


class Values(FileIO):
    """Values of items in a folder, and which of them are deleted."""

    def __init__(self, root):
        super().__init__(root)
        self.refuses = False
        self.asked = 0

    async def delete(self, location):
        self.asked += 1
        if self.refuses:
            raise IOManagerError("not now")
        await super().delete(location)

    def found(self):
        """How many values there are."""
        return sum(1 for path in self.root.rglob("*") if path.is_file() and ".tmp" not in path.parts)


@pytest.fixture
def values(tmp_path):
    """Where the values are."""
    (tmp_path / "values").mkdir()
    return Values(tmp_path / "values")


class Nightly:
    """A pipeline whose items fail, stop or succeed as it is told."""

    def __init__(self, kind="list"):
        self.pipeline = pipeline = Pipeline("nightly")
        self.ends = "fails"
        self.stuck = asyncio.Event()

        if kind == "reader":

            @pipeline.asset
            async def files():
                for number in range(COUNT):
                    yield number
                if self.ends == "fails":
                    raise ValueError("the source broke off")
        else:

            @pipeline.asset(io="elsewhere")
            async def files():
                return (
                    {f"f{number}": number for number in range(COUNT)} if kind == "dict" else [*range(COUNT)]
                )

        @pipeline.asset(io="elsewhere")
        async def later():
            return 1

        @pipeline.asset(each=Each("files", max_parallel=4))
        async def page(files):
            if files == COUNT - 1 and self.ends == "hangs":
                self.stuck.set()
                await asyncio.Event().wait()
            if files == COUNT - 1 and self.ends == "fails":
                await asyncio.sleep(0)
                raise ValueError("the last one")
            return [files]

    def runtime(self, store, values, clock, **options):
        """A runtime that keeps one version and forgets all runs but one."""
        io = {"default": values, "elsewhere": FileIO(values.root.parent / "elsewhere")}
        options = {"keep_versions": 1, "keep_runs": 1, **options}
        return Runtime(self.pipeline, store=store, io=io, clock=clock, **options)


@pytest.fixture
def pruned(clock, monkeypatch):
    """Returns when retention has run once more, from its beginning to its end."""
    prune, ended = Retention._prune, asyncio.Event()

    async def noted(self):
        await prune(self)
        ended.set()

    async def wait():
        ended.clear()
        await clock.advance(16)
        await ended.wait()

    monkeypatch.setattr(Retention, "_prune", noted)
    return wait


@pytest.mark.parametrize("kind", ["list", "dict", "reader"])
async def test_a_step_that_fails_each_night_leaves_nothing(store, values, clock, pruned, kind):
    """Its items are stored, and deleted when the run is forgotten; what is current stays."""
    nightly = Nightly(kind)
    async with nightly.runtime(store, values, clock) as runtime:
        nightly.ends = "succeeds"
        await runtime.materialize_all("page")
        needed = values.found()
        assert needed >= COUNT
        nightly.ends = "fails"
        for _ in range(3):
            with pytest.raises(RunFailed):
                await runtime.materialize_all("page")
        assert values.found() > needed
        last = (await runtime.runs(limit=1))[0].id
        await pruned()
        kept = values.found() - needed
        assert 0 < kept <= 3 * COUNT
        nightly.ends = "succeeds"
        await runtime.materialize_all("page")  # The failed run is forgotten, and the value is superseded.
        await pruned()
        with pytest.raises(RunNotFound):
            await runtime.items(last, "page")
        assert values.found() == needed
        value = await runtime.load("page")
        assert (list(value.values()) if kind == "dict" else list(value)) == [
            [number] for number in range(COUNT)
        ]
        assert await runtime.health()


async def test_a_run_that_was_cancelled_leaves_nothing(store, values, clock, pruned):
    """As one that failed."""
    nightly = Nightly()
    nightly.ends = "hangs"
    async with nightly.runtime(store, values, clock) as runtime:
        run = await runtime.submit("page")
        await nightly.stuck.wait()
        await run.cancel()
        with pytest.raises(RunCancelled):
            await run.wait()
        assert values.found() > 0
        await runtime.materialize("later")
        await pruned()
        assert values.found() == 0


async def test_values_that_cannot_be_deleted_are_tried_again(store, values, clock, pruned, caplog):
    """They are still known, and one look asks for few of them while it fails."""
    nightly = Nightly()
    async with nightly.runtime(store, values, clock) as runtime:
        for _ in range(3):
            with pytest.raises(RunFailed):
                await runtime.materialize_all("page")
        await runtime.materialize("later")
        values.refuses = True
        before = values.found()
        await pruned()
        assert values.asked
        assert 0 < values.found() <= before  # What was under way when the step failed removes itself.
        assert "could not be deleted, and are tried again: those of page" in caplog.text
        values.refuses = False
        await pruned()
        assert values.found() == 0


async def test_another_process_goes_on_where_one_died(values, clock, pruned, lasting):
    """Values were deleted in part, and nothing is known of that."""
    nightly = Nightly()
    async with nightly.runtime(lasting, values, clock) as runtime:
        with pytest.raises(RunFailed):
            await runtime.materialize_all("page")
        await runtime.materialize("later")
        values.refuses = True
        await pruned()
    left = [path for path in values.root.rglob("*") if path.is_file()]
    assert left
    for path in left[::2]:
        path.unlink()
    values.refuses = False
    again = Nightly()
    async with again.runtime(lasting, values, clock) as runtime:
        await pruned()
    assert values.found() == 0
