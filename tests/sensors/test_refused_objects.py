"""An object of which no run can be made holds up no other: it is told once, and tried again."""

from __future__ import annotations

import os
from datetime import date

import pytest

from flowstone import (
    Context,
    DailyPartitions,
    DefinitionError,
    FileSensor,
    Pipeline,
    RunRequest,
    Runtime,
    StaticPartitions,
    Status,
)
from flowstone.sensors.memory import MOST_AGAIN, Memory
from flowstone.store import MemoryStore
from tests.automation.looking import fires_of, over, runs_of, settled, status_of
from tests.sensors.looks import Looking, shop

COUNTRIES = StaticPartitions(["no", "se"])


@pytest.fixture
def landing(tmp_path, monkeypatch):
    """The current folder, with a folder in it."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "landing"
    place.mkdir()
    return place


def countries(**options):
    """A pipeline that computes a country for each file that is called like one, and what it is told."""
    pipeline, told = Pipeline("shop"), []

    @pipeline.asset(partitions=COUNTRIES)
    def sales(context: Context) -> str:
        return context.partition

    given = {
        "asset": "sales",
        "settle": 0,
        "every": 5,
        "name": "files",
        "partition": lambda found: found.name.removesuffix(".csv"),
        **options,
    }
    pipeline.add(FileSensor("landing/*.csv", **given))

    @pipeline.on("automation")
    async def listener(event):
        told.append(event)

    return pipeline, told


async def test_a_partition_that_does_not_exist_holds_up_no_other(clock, landing, caplog):
    """The others are computed; it is a fire that says why, an event and a line of the log, once."""
    pipeline, told = countries(existing=True)
    for name in ("no", "atlantis", "se"):
        (landing / f"{name}.csv").write_text("1")
    async with Runtime(pipeline, store=MemoryStore(), clock=clock, automate=True) as runtime:
        await settled(clock, lambda: over(runtime, "files", 2))
        assert {run.request.keys for run in await runs_of(runtime, "files")} == {("no",), ("se",)}
        (fire,) = await fires_of(runtime, "files")
        assert (fire.status, len(fire.runs)) == ("started", 2)
        assert "No run can be made of landing/atlantis.csv: PartitionError: " in fire.reason
        await clock.advance(60)
        assert len(await fires_of(runtime, "files")) == 1
        status = await status_of(runtime, "files")
        assert (status.failures, status.paused) == (0, False)
        assert [(event.kind, event.failures) for event in told] == [("automation.failed", 0)]
        assert "landing/atlantis.csv" in told[0].failure.message
        assert (
            sum("no run can be made of landing/atlantis.csv" in each.message for each in caplog.records) == 1
        )
        (landing / "atlantis.csv").write_text("22")
        await settled(clock, lambda: _fired(runtime, 2), step=1)
        assert (await fires_of(runtime, "files"))[1].status == "failed"


async def test_what_is_beyond_the_limit_of_a_look_is_not_lost(clock, landing):
    """Where something between could not be."""
    pipeline, _ = countries(existing=True, limit=1)
    for number, name in enumerate(("atlantis", "no", "utopia", "se", "lemuria")):
        (landing / f"{name}.csv").write_text("1")
        os.utime(landing / f"{name}.csv", (number, number))
    async with Runtime(pipeline, store=MemoryStore(), clock=clock, automate=True) as runtime:
        await settled(clock, lambda: over(runtime, "files", 2), step=1)
        fires = await fires_of(runtime, "files")
        assert [len(fire.runs) for fire in fires] == [1, 1]
        assert [name for name in ("atlantis", "utopia", "lemuria") if name in fires[0].reason] == [
            "atlantis",
            "utopia",
            "lemuria",
        ]


async def test_what_a_function_raises_for_one_file(clock, landing):
    """It fails for that file alone, whatever it raises; by hand too, and what it said is not lost."""

    def day(found):
        return date.fromisoformat(found.name.removesuffix(".csv"))

    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DailyPartitions("2024-12-01"))
    def sales(context: Context) -> str:
        return str(context.partition)

    pipeline.add(FileSensor("landing/*.csv", asset="sales", settle=0, existing=True, name="f", partition=day))
    for name in ("2024-12-24", "notes", "2024-12-25"):
        (landing / f"{name}.csv").write_text("1")
    async with Runtime(pipeline, clock=clock) as runtime:
        runs = await runtime.fire("f", by="ada")
        assert [(await run.wait()).status for run in runs] == [Status.SUCCEEDED] * 2
        (fire,) = await fires_of(runtime, "f")
        assert (fire.by, fire.status) == ("ada", "started")
        assert "landing/notes.csv: ValueError: Invalid isoformat string" in fire.reason
        assert await runtime.fire("f") == []
        assert [fire.status for fire in await fires_of(runtime, "f")] == ["started", "started"]


async def test_what_could_not_be_is_computed_as_soon_as_it_can_be(clock, landing):
    """A file of a day that is not over waits for the end of the day, and nobody has to touch it."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DailyPartitions("2024-12-01"))
    def sales(context: Context) -> str:
        return str(context.partition)

    pipeline.add(
        FileSensor(
            "landing/*.csv",
            asset="sales",
            settle=0,
            existing=True,
            name="files",
            partition=lambda found: date.fromisoformat(found.name.removesuffix(".csv")),
        )
    )
    (landing / "2025-01-01.csv").write_text("1")
    async with Runtime(pipeline, store=MemoryStore(), clock=clock, automate=True) as runtime:
        await settled(clock, lambda: _fired(runtime, 1))
        await clock.advance(3600)
        assert await runs_of(runtime, "files") == []
        await settled(clock, lambda: over(runtime, "files", 1), step=3600)
        assert await runtime.load("sales", partition="2025-01-01") == "2025-01-01"
        assert [fire.status for fire in await fires_of(runtime, "files")] == ["failed", "started"]


def test_a_request_or_a_config_of_the_wrong_kind_is_of_one_file(landing):
    """It is the file that it was made for which is refused."""
    for name in "ab":
        (landing / f"{name}.csv").write_text("1")
    plain = RunRequest("plain")
    it = Looking(
        FileSensor(
            "landing/*.csv",
            settle=0,
            existing=True,
            request=lambda found: "plain" if found.name == "a.csv" else plain,
        )
    )
    assert it.look() == [plain]
    ((path, why),) = it.refused
    assert (path, "return RunRequest(asset, …), or None" in str(why)) == ("landing/a.csv", True)
    it = Looking(
        FileSensor("landing/*.csv", asset="plain", settle=0, existing=True, config=lambda found: found.name)
    )
    assert it.look() == []
    assert [path for path, _ in it.refused] == ["landing/a.csv", "landing/b.csv"]


def test_one_request_for_several_files_is_refused_for_the_right_one(landing):
    """Each file has a request of its own, though the function gives the same."""
    for name in "ab":
        (landing / f"{name}.csv").write_text("1")
    plain = RunRequest("plain")
    sensor = FileSensor("landing/*.csv", settle=0, existing=True, request=lambda _: plain)
    context = Looking(sensor).context()
    first, second = sensor(context)
    assert context.tolerates(second, ValueError("no"))
    assert not context.tolerates(plain, ValueError("no"))
    assert [path for path, _ in context.refused()] == ["landing/b.csv"]
    assert first == second
    assert len(Memory.read(context.left_at(), "landing/*.csv").refused) == 1


def test_so_many_are_tried_again_the_newest_first(landing):
    """They take no time from what is new, however many there are; and none is lost."""
    tried = []

    def partition(found):
        tried.append(found.name)
        raise ValueError("no")

    for number in range(MOST_AGAIN + 5):
        path = landing / f"{number:03}.csv"
        path.write_text("1")
        os.utime(path, (number, number))
    it = Looking(FileSensor("landing/*.csv", asset="sales", settle=0, existing=True, partition=partition))
    assert (it.look(), len(it.refused)) == ([], MOST_AGAIN + 5)
    tried.clear()
    assert (it.look(), it.refused, len(tried)) == ([], [], MOST_AGAIN)
    assert tried[0] == f"{MOST_AGAIN + 4:03}.csv"
    memory = Memory.read(it.cursor, "landing/*.csv")
    assert (len(memory.refused), len(memory.known)) == (MOST_AGAIN + 5, 0)
    for path in landing.iterdir():
        path.unlink()
    (landing / "new.csv").write_text("1")
    it.look()
    assert len(Memory.read(it.cursor, "landing/*.csv").refused) == 1


async def test_a_sensor_of_ones_own_may_refuse_and_tolerate(clock):
    """Without a cursor that moves, as well."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=COUNTRIES)
    async def sales() -> int:
        return 1

    @pipeline.sensor("mail", every=1000)
    async def mail(context):
        context.refuse("letter 7", "it has no address")
        for key in ("no", "atlantis"):
            request = RunRequest("sales", partition=key)
            yield context.tolerate(request, lambda why, key=key: context.refuse(key, why))

    async with Runtime(pipeline, clock=clock) as runtime:
        assert len(await runtime.fire("mail")) == 1
        (fire,) = await fires_of(runtime, "mail")
        assert fire.reason.startswith(
            "No run can be made of letter 7: it has no address; atlantis: PartitionError: "
        )


class TestAtDefinition:
    """What is known before anything lands is said then."""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"asset": "sale"}, r"there is no asset 'sale'\. Did you mean 'sales'\?"),
            ({"asset": "sales"}, "'sales' has StaticPartitions.*give partition="),
        ],
    )
    async def test_an_asset_that_does_not_fit_is_refused_on_entry(self, options, message):
        """With the line of the sensor; however it is defined."""
        for define in (
            lambda it, sensor: it.add(sensor),
            lambda it, sensor: it.sensor("landing", sensor),
            lambda it, sensor: it.sensor("landing")(sensor),
        ):
            pipeline = shop()
            with pytest.raises(DefinitionError, match=r"test_refused_objects\.py:\d+: sensor\('.*" + message):
                define(pipeline, FileSensor("landing/*.csv", **options))
                async with Runtime(pipeline):
                    pass

    async def test_what_fits_is_taken(self):
        """In whatever order the two are defined. An asset without a set takes any key."""
        pipeline = Pipeline("files")
        pipeline.add(FileSensor("any/*", asset="raw", partition=lambda found: found.name))
        pipeline.add(FileSensor("a/*", asset="raw"))
        pipeline.add(FileSensor("b/*", asset="sales", partition=lambda found: found.name))
        pipeline.add(FileSensor("c/*", asset="plain"))
        pipeline.add(FileSensor("d/*", request=lambda found: RunRequest(found.name)))
        async with Runtime([pipeline, shop()]):
            pass


async def _fired(runtime, number):
    return len(await fires_of(runtime, "files")) >= number
