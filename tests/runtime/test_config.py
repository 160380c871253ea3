"""The config of a run: checked at the edge, kept with the run, recorded with its values, compared when reusing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import Field, SecretStr, field_serializer, field_validator

import flowstone
from flowstone import (
    Config,
    ConfigError,
    Context,
    DailyPartitions,
    FileIO,
    MaterializationFailed,
    Pipeline,
    RunFailed,
    Runtime,
)
from tests.runtime.process_assets import pipeline as processes

DAYS = DailyPartitions("2025-01-01", "2025-01-03")


class Limits(Config):
    low: int = 0
    high: int = 10


class RawConfig(Config):
    size: int = 3


class ReportConfig(Config):
    threshold: int = 1
    label: str = "none"
    limits: Limits = Limits()


class StrictConfig(Config):
    day: date
    share: Annotated[Decimal, Field(gt=0)] = Decimal("0.5")


class SecretConfig(Config):
    url: str = "https://example.org"
    token: SecretStr = Field(default_factory=lambda: SecretStr("hush-hush"))


def shop():
    """`raw` and `report` take a config with defaults, `strict` one with a required field, `plain` none."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def raw(config: RawConfig) -> list[int]:
        return list(range(config.size))

    @pipeline.asset
    async def report(raw: list[int], settings: ReportConfig) -> str:
        return f"{settings.label} {sum(value >= settings.threshold for value in raw)} {settings.limits.high}"

    @pipeline.asset
    def strict(report: str, config: StrictConfig) -> str:
        return f"{report} {config.day} {config.share}"

    @pipeline.asset
    async def plain(raw: list[int]) -> int:
        return len(raw)

    @pipeline.asset(partitions=DAYS)
    async def daily(context: Context, config: ReportConfig) -> str:
        return f"{context.partition_key} {config.threshold}"

    @pipeline.asset
    async def secret(config: SecretConfig) -> str:
        return f"{config.url} {config.token.get_secret_value()}"

    @pipeline.asset
    async def patient(context: Context, config: ReportConfig) -> int:
        context.sleep("nap", 0.01)
        return config.threshold

    return pipeline


@pytest.fixture(params=["memory", "file", "postgres"])
def opened(request, tmp_path):
    """Makes a runtime of the shop on the same store as the one before."""
    if request.param == "postgres":
        url = request.getfixturevalue("database")
    else:
        url = "memory://" if request.param == "memory" else f"file://{tmp_path / 'runs'}"

    def runtime(**options):
        io = {} if request.param == "postgres" else {"io": {"default": FileIO(tmp_path / "values")}}
        return Runtime(shop(), store=url, **io, **options)

    runtime.kept = request.param != "memory"
    return runtime


# What is passed ---------------------------------------------------------------------------------------------


async def test_a_config_reaches_the_function_the_run_and_the_record(opened):
    """Its fields go to the target; the run has what was passed, the record has all of it."""
    async with opened() as runtime:
        await runtime.materialize("raw")
        record = await runtime.materialize("report", config={"threshold": "2", "limits": {"high": 4}})
        assert await runtime.load("report") == "none 1 4"
        everything = {"threshold": 2, "label": "none", "limits": {"low": 0, "high": 4}}
        assert record.config == everything
        (history,) = await runtime.history("report")
        assert history.config == everything
        run = next(run for run in await runtime.runs() if run.id == record.run_id)
        assert run.config == {"report": {"threshold": 2, "limits": {"high": 4}}}
        assert run.request.config == run.config


async def test_without_a_config_the_fields_have_their_defaults(opened):
    """They are recorded all the same, and the run was passed nothing."""
    async with opened() as runtime:
        record = await runtime.materialize("raw")
        assert record.config == {"size": 3}
        assert (await runtime.run(record.run_id)).id
        assert (await runtime.runs())[0].config == {}
        assert (await runtime.materialize("plain")).config is None


async def test_several_assets_are_configured_by_name(opened):
    """As soon as a key names an asset; instances and assets as keys are taken too."""
    pipeline = shop()
    async with opened() as runtime:
        result = await runtime.materialize_all(
            "strict",
            config={
                "raw": {"size": 5},
                pipeline.assets["report"]: ReportConfig(threshold=3),
                "strict": {"day": date(2025, 1, 2), "share": "0.25"},
            },
        )
        assert await result.value() == "none 2 10 2025-01-02 0.25"
        records = {record.asset: record.config for record in result.succeeded}
        assert records["strict"] == {"day": "2025-01-02", "share": "0.25"}
        assert records["raw"] == {"size": 5}


async def test_every_call_that_starts_runs_takes_a_config(opened):
    """The backfill, what is submitted, and the plan, which says what would be computed."""
    async with opened() as runtime:
        result = await runtime.backfill("daily", config={"threshold": 4})
        assert await result.value(partition="2025-01-02") == "d:2025-01-02 4"
        run = await runtime.submit("raw", config={"size": 2})
        assert await (await run.wait()).value() == [0, 1]
        run = await runtime.submit_backfill("daily", refresh="all", config=ReportConfig(threshold=6))
        assert await (await run.wait()).value(partition="2025-01-01") == "d:2025-01-01 6"
        assert (await runtime.plan("raw", config={"size": 2}, refresh="missing")).to_run == 0


async def test_a_single_run_takes_a_config():
    """`flowstone.materialize` passes it on."""
    result = await flowstone.materialize(shop().assets["raw"], config=RawConfig(size=1))
    assert await result.value() == [0]


async def test_a_config_reaches_a_worker_process():
    """It is an argument like any other."""
    async with Runtime(processes) as runtime:
        await runtime.materialize("configured", config={"factor": 7})
        assert await runtime.load("configured") == 7


# What is refused --------------------------------------------------------------------------------------------

REFUSED = [
    ({"treshold": 1}, "report", "treshold", "Did you mean 'threshold'?"),
    ({"threshold": "many"}, "report", "threshold", "threshold: Input should be a valid integer"),
    ({"limits": {"high": "x"}}, "report", "limits.high", "limits.high: Input should be a valid integer"),
    ({"report": 5}, "report", None, "is the name of an asset"),
    ({"report": {}, "threshold": 5}, "report", "threshold", "every key of it must name one"),
    ({"reprot": {"threshold": 5}}, "report", "reprot", "Did you mean 'report'?"),
    ({"plain": {"size": 5}}, "plain", None, "takes no config: annotate a parameter"),
    ({"daily": {"threshold": 5}}, "daily", None, "is not part of this run"),
    (RawConfig(), "report", None, "it takes ReportConfig, not RawConfig"),
    (5, "report", None, "takes a dict of fields"),
    ("threshold=5", "report", None, "takes a dict of fields"),
    ({"label": "a\0b"}, "report", "label", "label has a NUL"),
    ({"label": "\ud800"}, "report", "label", "half a surrogate pair"),
    ({"label": "x" * 70_000}, "report", None, "at most 65,536"),
]


@pytest.mark.parametrize(("config", "asset", "field", "words"), REFUSED)
async def test_what_does_not_fit_is_refused_before_anything_is_written(config, asset, field, words):
    """The error names the asset and the field, and says what helps."""
    async with Runtime(shop()) as runtime:
        for call in (runtime.materialize_all, runtime.submit, runtime.plan):
            with pytest.raises(ConfigError) as refused:
                await call("report", config=config)
            assert (refused.value.asset, refused.value.field) == (asset, field)
            assert words in str(refused.value)
        assert await runtime.runs() == []


class Coded(Enum):
    """A member whose value is no text that a store keeps."""

    BROKEN = "a\0b"


class LooseConfig(Config):
    """What types say little about."""

    free: Any = None
    coded: Coded | None = None
    written: int = 0

    @field_serializer("written")
    def _write(self, value: int) -> int:
        if value:
            raise RuntimeError("its serialiser fails")
        return value


def containing_itself(kind):
    """A dict or a list that does."""
    if kind is dict:
        found: Any = {}
        found["again"] = found
    else:
        found = []
        found += [found, found]
    return found


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({"free": containing_itself(dict)}, "free", "contains itself"),
        ({"free": containing_itself(list)}, "free", "contains itself"),
        ({"free": {"a\0b": {}}}, "free.a\0b", "has a NUL"),
        ({"coded": Coded.BROKEN}, "coded", "has a NUL"),
        ({"written": 1}, None, "its serialiser fails"),
        ({"": 1}, "", "there is no field ''"),
        ({str(number): 1 for number in range(50)}, "0", "; and 40 more"),
    ],
)
async def test_what_only_its_json_shows_is_refused_as_well(config, field, words):
    """Also what has no end, and texts that are none before they are written."""
    pipeline = Pipeline()

    @pipeline.asset
    async def loose(config: LooseConfig) -> None:
        """Take it."""

    async with Runtime(pipeline) as runtime:
        with pytest.raises(ConfigError) as refused:
            await runtime.materialize("loose", config=config)
        assert refused.value.field == field
        assert words in str(refused.value)
        assert await runtime.runs() == []


async def test_a_backfill_and_one_asset_alone_are_refused_in_the_same_way():
    """There too before anything is written."""
    async with Runtime(shop()) as runtime:
        for call in (runtime.backfill, runtime.submit_backfill):
            with pytest.raises(ConfigError, match="threshold: Input should be"):
                await call("daily", config={"threshold": None})
        assert await runtime.runs() == []
        await runtime.materialize("raw")
        with pytest.raises(ConfigError, match="not part of this run"):
            await runtime.materialize("report", config={"raw": {"size": 1}})
        assert len(await runtime.runs()) == 1


async def test_a_required_field_that_nobody_passed_is_refused_before_anything_is_written(opened):
    """Of any asset of the run, and with what to write."""
    async with opened() as runtime:
        with pytest.raises(
            ConfigError, match=r"day is required .*\. Pass config=\{'strict': \{'day': …\}\}"
        ) as refused:
            await runtime.materialize_all("strict", config={"raw": {"size": 1}})
        assert (refused.value.asset, refused.value.field) == ("strict", "day")
        assert await runtime.runs() == []


async def test_a_field_that_is_called_like_an_asset_is_named_through_its_own():
    """A key that names an asset always means that asset; the error says how the field is written."""
    pipeline = shop()

    class Odd(Config):
        plain: int = 1
        raw: int = 2

    @pipeline.asset
    async def odd(plain: int, config: Odd) -> int:
        return config.plain + config.raw

    async with Runtime(pipeline) as runtime:
        for config in ({"plain": 5}, {"raw": 5}):
            with pytest.raises(
                ConfigError,
                match=r"The field '(plain|raw)' of 'odd' is config=\{'odd': \{'(plain|raw)': …\}\}",
            ):
                await runtime.materialize_all("odd", config=config)
        result = await runtime.materialize_all("odd", config={"odd": {"plain": 5}})
        assert await result.value() == 7


async def test_code_of_a_config_class_that_raises_is_named():
    """A validator and a default factory are the user's own code."""
    pipeline = Pipeline("odd")

    class Picky(Config):
        day: str = "monday"

        @field_validator("day")
        @classmethod
        def known(cls, day):
            if day != "monday":
                raise ValueError(f"no {day} here")
            return day

    class Broken(Config):
        home: str = Field(default_factory=lambda: {}["HOME"])

    @pipeline.asset
    async def picky(config: Picky) -> str:
        return config.day

    @pipeline.asset
    async def broken(config: Broken) -> str:
        return config.home

    async with Runtime(pipeline) as runtime:
        with pytest.raises(ConfigError, match=r"is refused: day: no friday here\."):
            await runtime.materialize("picky", config={"day": "friday"})
        with pytest.raises(ConfigError, match="is refused: KeyError: 'HOME'"):
            await runtime.materialize("broken")


# Secrets ----------------------------------------------------------------------------------------------------


async def test_a_secret_comes_from_its_default_and_is_neither_stored_nor_shown(opened, tmp_path):
    """The function has it, the record has stars."""
    async with opened() as runtime:
        record = await runtime.materialize("secret")
        assert (await runtime.load("secret")).endswith("hush-hush")
        assert record.config == {"url": "https://example.org", "token": "**********"}
        assert "hush" not in repr(record)
        with pytest.raises(ConfigError, match="token is a secret") as refused:
            await runtime.materialize("secret", config={"token": "my-password"})
        assert "my-password" not in str(refused.value)
        with pytest.raises(ConfigError, match="token is a secret"):
            await runtime.materialize("secret", config=SecretConfig(token=SecretStr("x")))
        assert len(await runtime.runs()) == 1
    for file in (tmp_path / "runs").glob("*"):
        assert b"hush-hush" not in file.read_bytes()


# Reuse ------------------------------------------------------------------------------------------------------


async def test_a_value_of_another_config_is_not_what_was_asked_for(opened):
    """With `missing`, where the run is given a config; with `stale`, in any case."""
    async with opened() as runtime:
        await runtime.backfill("daily", config={"threshold": 4})
        again = await runtime.backfill("daily", config={"threshold": 4, "label": "none"})
        assert (len(again.reused), len(again.succeeded)) == (3, 0)
        days = ["2025-01-01", "2025-01-02"]
        plan = await runtime.plan("daily", partitions=days, config={"threshold": 5})
        assert {step.because for step in plan} == {"config: threshold was 4 and is 5"}
        assert (plan.to_run, plan.to_reuse) == (2, 0)
        other = await runtime.backfill("daily", partitions=days, config={"threshold": 5})
        assert (len(other.reused), len(other.succeeded)) == (0, 2)
        assert len((await runtime.backfill("daily")).reused) == 3
        plan = await runtime.plan("daily", refresh="stale", config={"threshold": 5})
        assert [step.action for step in plan] == ["reuse", "reuse", "run"]
        stale = await runtime.backfill("daily", refresh="stale")
        assert {record.config["threshold"] for record in stale.succeeded} == {1}
        assert len(stale.succeeded) == 3


async def test_a_reused_value_has_the_config_that_it_was_computed_with(opened):
    """Its record says how the value was made, whatever the later run was given."""
    async with opened() as runtime:
        await runtime.materialize("raw", config={"size": 5})
        result = await runtime.materialize_all("plain", refresh="missing")
        assert [record.config for record in result.reused] == [{"size": 5}]
        assert await result.value() == 5


async def test_a_set_is_recorded_in_an_order_that_does_not_depend_on_hashes():
    """Otherwise another process would find the value stale."""
    pipeline = Pipeline("sets")

    class Names(Config):
        names: frozenset[str] = frozenset({"c", "a", "b"})

    @pipeline.asset
    async def named(config: Names) -> int:
        return len(config.names)

    async with Runtime(pipeline) as runtime:
        assert (await runtime.materialize("named")).config == {"names": ["a", "b", "c"]}


# Restarts and other nodes -----------------------------------------------------------------------------------


async def test_a_run_that_is_taken_up_again_has_its_config(opened):
    """It is read from the store, by whoever goes on with the run."""
    if not opened.kept:
        pytest.skip("the store ends with its process")
    async with opened() as runtime:
        run = await runtime.submit("patient", config={"threshold": 9})
    async with opened() as runtime:
        result = await (await runtime.run(run.id)).wait(60)
        assert await result.value() == 9
        assert result.succeeded[0].config["threshold"] == 9


async def test_another_node_computes_with_the_config_of_the_run(database):
    """The one that submits does nothing itself."""
    async with (
        Runtime(shop(), store=database, worker=False) as asking,
        Runtime(shop(), store=database),
    ):
        run = await asking.submit("raw", config={"size": 6})
        assert await (await run.wait(60)).value() == [0, 1, 2, 3, 4, 5]


async def test_a_run_whose_config_fits_no_more_fails_and_says_so(database):
    """Somebody has deployed another class between the request and the run."""
    async with Runtime(shop(), store=database, worker=False) as asking:
        run = await asking.submit("raw", config={"size": 6})
        other = Pipeline("shop")

        class Renamed(Config):
            rows: int = 3

        @other.asset(name="raw")
        async def renamed(config: Renamed) -> int:
            return config.rows

        async with Runtime(other, store=database):
            with pytest.raises(RunFailed, match="there is no field 'size'"):
                await run.wait(60)


async def test_a_failed_step_records_its_config(opened):
    """It may be why it failed."""
    pipeline = Pipeline("fails")

    @pipeline.asset
    async def fails(config: RawConfig) -> int:
        raise OSError(config.size)

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed) as failed:
            await runtime.materialize("fails", config={"size": 4})
        assert failed.value.materialization.config == {"size": 4}
