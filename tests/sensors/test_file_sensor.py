"""A file sensor asks for a run for each file once: when it is new or has changed, and is quiet."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowstone import (
    Context,
    DefinitionError,
    DynamicPartitions,
    FileSensor,
    Pipeline,
    RunRequest,
    Runtime,
    Status,
)
from flowstone.store import MemoryStore
from tests.automation.looking import fires_of, over, runs_of, settled, status_of
from tests.sensors.looks import Looking

HOUR = 3600


@pytest.fixture
def landing(tmp_path, monkeypatch):
    """The current folder, with a folder in it."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "landing"
    place.mkdir()
    return place


def looking(**options):
    """A sensor that reports at once, unless it is said otherwise."""
    return Looking(FileSensor("landing/*.csv", **{"asset": "raw", "settle": 0, **options}))


class TestOnce:
    """New or changed, and never again."""

    def test_what_was_there_does_not_count(self, landing):
        """Unless it changes; what comes later does."""
        (landing / "old.csv").write_text("1")
        it = looking()
        assert it.paths() == []
        (landing / "new.csv").write_text("1")
        (landing / "other.txt").write_text("1")
        assert it.paths() == ["landing/new.csv"]
        assert it.paths() == []
        (landing / "old.csv").write_text("22")
        assert it.paths() == ["landing/old.csv"]
        assert it.paths() == []

    def test_what_was_there_counts_if_that_is_wanted(self, landing):
        """Once."""
        (landing / "old.csv").write_text("1")
        it = looking(existing=True)
        assert it.paths() == ["landing/old.csv"]
        assert it.paths() == []

    def test_renamed(self, landing):
        """It is new under its new name."""
        (landing / "a.csv").write_text("1")
        it = looking()
        it.look()
        (landing / "a.csv").rename(landing / "b.csv")
        assert it.paths() == ["landing/b.csv"]

    def test_replaced_by_one_of_the_same_size_and_time(self, landing):
        """It is another one."""
        old, new = landing / "a.csv", landing / "new"
        old.write_text("1")
        it = looking()
        it.look()
        _after(old, lambda: new.write_text("2"), new)
        os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
        new.rename(old)
        assert it.paths() == ["landing/a.csv"]

    def test_written_anew_within_the_same_time(self, landing):
        """Though somebody has set its time back."""
        path = landing / "a.csv"
        path.write_text("1")
        times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
        it = looking()
        it.look()
        before = path.stat().st_ctime_ns
        while path.stat().st_ctime_ns == before:
            path.write_text("2")
            os.utime(path, ns=times)
        assert it.paths() == ["landing/a.csv"]

    def test_deleted_and_come_back(self, landing):
        """It is new, with whatever is in it."""
        path = landing / "a.csv"
        path.write_text("1")
        (landing / "b.csv").write_text("1")
        it = looking()
        it.look()
        before = path.stat().st_ctime_ns
        path.unlink()
        assert it.paths() == []
        path.write_text("1")
        while path.stat().st_ctime_ns == before:
            path.write_text("1")
        assert it.paths() == ["landing/a.csv"]

    def test_a_folder_that_is_away_for_a_while(self, landing):
        """Says so, and does not make what is in it new."""
        (landing / "a.csv").write_text("1")
        it = looking()
        it.look()
        landing.rename(landing.with_name("away"))
        assert it.paths() == []
        assert it.skipped == "The folder 'landing' of FileSensor('landing/*.csv') does not exist yet."
        landing.mkdir()
        assert it.paths() == []
        landing.rmdir()
        landing.with_name("away").rename(landing)
        assert it.paths() == []

    def test_a_folder_that_does_not_exist_yet(self, landing):
        """What is in it when it is there at last came after the first look."""
        landing.rmdir()
        it = looking()
        assert it.paths() == []
        assert it.skipped
        landing.mkdir()
        (landing / "a.csv").write_text("1")
        assert it.paths() == ["landing/a.csv"]
        assert not it.skipped

    def test_another_pattern_begins_anew(self, landing):
        """What is there at its first look does not count either."""
        (landing / "a.csv").write_text("1")
        it = looking()
        it.look()
        (landing / "b.txt").write_text("1")
        it.sensor = FileSensor("landing/*", asset="raw", settle=0)
        assert it.paths() == []
        (landing / "c.txt").write_text("1")
        assert it.paths() == ["landing/c.txt"]

    def test_what_a_function_fails_for_is_tried_again(self, landing):
        """By the next look; the others are reported by this one."""
        broken = [True]

        def request(found):
            if broken and found.name == "b.csv":
                raise OSError("not now")
            return RunRequest("raw", tags={"object": found.path})

        it = looking(asset=None, request=request)
        it.look()
        for name in "abc":
            (landing / f"{name}.csv").write_text("1")
        assert sorted(it.paths()) == ["landing/a.csv", "landing/c.csv"]
        broken.clear()
        assert it.paths() == ["landing/b.csv"]
        assert it.paths() == []


def _after(path, write, other):
    """Write another file at a later time of the file system's clock."""
    write()
    while other.stat().st_ctime_ns <= path.stat().st_ctime_ns:
        write()


class TestQuiet:
    """What is still being written waits."""

    def test_a_file_that_grows(self, landing):
        """Is reported when two looks have found it the same, for long enough."""
        path = landing / "a.csv"
        it = looking(settle=20)
        it.look()
        for size in range(3):
            path.write_text("1" * size)
            assert it.paths() == []
        assert it.paths() == []
        assert it.paths() == ["landing/a.csv"]
        assert it.paths() == []

    def test_seconds_that_nobody_knows_do_not_count(self, landing):
        """After a restart, or a look by hand: it waits longer then, and clocks do not matter."""
        it = looking(settle=20)
        it.look()
        (landing / "a.csv").write_text("1")
        os.utime(landing / "a.csv", (0, 0))
        assert it.paths(since=None) == []
        assert it.paths(since=None) == []
        assert it.paths(since=15.0) == []
        assert it.paths(since=None) == []
        assert it.paths(since=5.0) == ["landing/a.csv"]

    def test_one_that_is_quiet_does_not_wait_for_the_others(self, landing):
        """Each for itself."""
        it = looking(settle=10)
        it.look()
        (landing / "a.csv").write_text("1")
        it.look()
        (landing / "b.csv").write_text("1")
        assert it.paths() == ["landing/a.csv"]
        assert it.paths() == ["landing/b.csv"]


class TestWhatARunIsTold:
    """By its partition, its config, or whatever a function says."""

    def test_a_dynamic_set_is_given_the_path(self, landing):
        """Which is the partition; and the run is told nothing else."""
        it = looking()
        it.look()
        (landing / "a.csv").write_text("1")
        (request,) = it.look()
        assert request == RunRequest(
            "raw", partition="landing/a.csv", refresh="all", tags={"object": "landing/a.csv"}, join=False
        )
        assert it.added == {"files": ["landing/a.csv"]}

    def test_a_function_says_the_partition(self, landing):
        """From the file; where it says None the file is left out. A dynamic set is given it."""
        files = []

        def country(found):
            files.append(found)
            return {"norway": "no"}.get(found.name.removesuffix(".csv"))

        it = looking(asset="sales", partition=country)
        it.look()
        (landing / "norway.csv").write_text("123")
        (landing / "atlantis.csv").write_text("1")
        os.utime(landing / "norway.csv", (1, 1))
        assert [request.partition for request in it.look()] == ["no"]
        assert it.added == {}
        assert (files[0].path, files[0].name, files[0].size) == ("landing/norway.csv", "norway.csv", 3)
        assert (files[0].modified, files[0].etag) == (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), None)
        it = looking(partition=lambda found: found.size, existing=True)
        assert [request.partition for request in it.look()] == [3, 1]
        assert list(it.added.values()) == [["i:3", "i:1"]]

    def test_another_set_needs_a_function(self, landing):
        """And says so."""
        it = looking(asset="sales", existing=True)
        (landing / "a.csv").write_text("1")
        with pytest.raises(DefinitionError, match="give partition="):
            it.look()

    def test_a_config_with_a_path_is_given_it(self, landing):
        """An asset without one only learns that something has come."""
        (landing / "a.csv").write_text("1")
        (told,) = looking(asset="told", existing=True).look()
        assert (told.partition, told.config) == (None, {"path": "landing/a.csv"})
        (plain,) = looking(asset="plain", existing=True).look()
        assert (plain.partition, plain.config) == (None, None)
        (said,) = looking(asset="plain", config=lambda found: {"n": found.size}, existing=True).look()
        assert said.config == {"n": 1}

    def test_a_function_makes_the_whole_request(self, landing):
        """Or none at all."""
        (landing / "a.csv").write_text("1")
        (landing / "b.csv").write_text("1")
        it = looking(
            asset=None,
            request=lambda found: RunRequest("plain", key=found.name) if found.name == "a.csv" else None,
            existing=True,
        )
        assert it.look() == [RunRequest("plain", key="a.csv")]

    def test_a_name_that_cannot_be_a_partition_is_refused(self, landing):
        """It is told of once, and holds up no other; a function may give it a partition."""
        (landing / os.fsdecode(b"\xff.csv")).write_text("1")
        (landing / "a\nb.csv").write_text("1")
        it = looking(existing=True)
        assert it.paths() == ["landing/a\nb.csv"]
        ((path, why),) = it.refused
        assert (path, "cannot be a partition" in str(why)) == ("landing/\\udcff.csv", True)
        assert it.paths() == []
        assert it.refused == []
        it = looking(existing=True, partition=lambda found: os.fsencode(found.name).hex())
        assert len(it.look()) == 2

    def test_options_of_the_runs(self, landing):
        """Are those of a request."""
        (landing / "a.csv").write_text("1")
        it = looking(existing=True, upstream=False, refresh="missing", priority=3, tags={"team": "core"})
        (request,) = it.look()
        assert (request.upstream, request.refresh, request.priority) == (False, "missing", 3)
        assert request.tags == {"object": "landing/a.csv", "team": "core"}


@pytest.mark.parametrize(
    "options",
    [
        {"asset": None},
        {"asset": 7},
        {"asset": lambda: 1},
        {"partition": "a"},
        {"config": {}},
        {"request": 7, "asset": None},
        {"request": lambda _: None},
        {"name": ""},
        {"name": "x" * 201},
        {"settle": -1},
        {"settle": True},
        {"settle": float("nan")},
        {"settle": "1"},
    ],
)
def test_what_cannot_be_is_refused_where_it_is_defined(options):
    """In one sentence that names the sensor."""
    with pytest.raises(DefinitionError, match=r"FileSensor\('landing/\*.csv'\)"):
        FileSensor("landing/*.csv", **{"asset": "raw", **options})


def test_the_pattern_of_a_folder_says_what_to_write(landing):
    """It would find nothing for ever."""
    with pytest.raises(ValueError, match="is a folder: add a pattern"):
        list(FileSensor("landing", asset="raw")(Looking(None).context()))


def test_too_many_files_are_a_failure(landing, monkeypatch):
    """With what to do; nothing is seen half."""
    monkeypatch.setattr("flowstone.sensors.landing.MOST_OBJECTS", 3)
    for number in range(4):
        (landing / f"{number}.csv").write_text("1")
    with pytest.raises(ValueError, match="more than 3 files"):
        looking().look()


def test_a_file_of_an_impossible_time_is_found(landing):
    """As file systems have them."""
    (landing / "a.csv").write_text("1")
    os.utime(landing / "a.csv", (2**40, 2**40))
    assert looking(existing=True).paths() == ["landing/a.csv"]


class TestInAPipeline:
    """Ten lines, and a folder is processed."""

    @staticmethod
    def shop(define):
        pipeline = Pipeline("shop")

        @pipeline.asset(partitions=DynamicPartitions("files"))
        def raw(context: Context) -> str:
            return Path(context.partition).read_text()

        define(pipeline)
        return pipeline

    @pytest.mark.parametrize(
        ("name", "define"),
        [
            ("landing/*.csv", lambda it: it.add(FileSensor("landing/*.csv", asset="raw", every=5, settle=1))),
            ("files", lambda it: it.add(FileSensor("landing/*.csv", asset="raw", every=5, name="files"))),
            ("files", lambda it: it.sensor("files", FileSensor("landing/*.csv", asset="raw"), every=5)),
            ("files", lambda it: it.sensor("files", every=5)(FileSensor("landing/*.csv", asset="raw"))),
        ],
    )
    async def test_each_way_to_define_it(self, clock, landing, name, define):
        """Files are computed as they come, again when they change, and not again after a restart."""
        store = MemoryStore()
        async with Runtime(self.shop(define), store=store, clock=clock, automate=True) as runtime:
            await settled(clock, lambda: _has_looked(runtime, store, name))
            (landing / "a.csv").write_text("one")
            await settled(clock, lambda: over(runtime, name, 1))
            assert await runtime.load("raw", partition="landing/a.csv") == "one"
            (landing / "a.csv").write_text("two!")
            (landing / "b.csv").write_text("new")
            await settled(clock, lambda: over(runtime, name, 3))
            assert await runtime.load("raw", partition="landing/a.csv") == "two!"
            assert await runtime.load("raw", partition="landing/b.csv") == "new"
        async with Runtime(self.shop(define), store=store, clock=clock, automate=True) as runtime:
            await runtime.fire(name)
            await clock.advance(20)
            assert len(await runs_of(runtime, name)) == 3
            assert (await status_of(runtime, name)).failures == 0

    async def test_a_thousand_at_once(self, clock, landing):
        """Each of them, in as many runs a look as there may be."""
        pipeline = self.shop(
            lambda it: it.add(
                FileSensor("landing/*.csv", asset="raw", settle=0, every=5, limit=400, name="files")
            )
        )
        store = MemoryStore()
        async with Runtime(pipeline, store=store, clock=clock, automate=True) as runtime:
            await settled(clock, lambda: _has_looked(runtime, store, "files"))
            for number in range(1000):
                (landing / f"{number}.csv").write_text(str(number))
            await settled(clock, lambda: over(runtime, "files", 1000), step=0.5, within=60)
            assert [len(fire.runs) for fire in await fires_of(runtime, "files")] == [400, 400, 200]
            keys = {run.request.keys[0] for run in await runs_of(runtime, "files", status=Status.SUCCEEDED)}
            assert len(keys) == 1000

    def test_only_what_says_what_it_is_is_added(self):
        """Anything else is refused where it is added."""
        with pytest.raises(DefinitionError, match=r"add\(\) takes"):
            Pipeline("shop").add(print)


async def _has_looked(_runtime, store, name):
    record = await store.automations.record(("shop", name))
    return record is not None and record.cursor is not None
