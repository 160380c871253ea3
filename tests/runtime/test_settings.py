"""Settings: from keyword arguments, else from `Settings(...)`, else from the environment, else the defaults."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from flowstone import Pipeline, Runtime, Settings, StoreUnavailable
from flowstone.runtime.configuration import options_from, plain_environment
from flowstone.runtime.options import Options
from tests.runtime.doubles import Gate, Meter, UnreliableStore


def test_the_defaults_are_those_of_the_contract(monkeypatch):
    """Every name and value that users rely on."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FLOWSTONE_{name.upper()}", raising=False)
    settings = Settings()
    assert settings.store == "memory://"
    assert settings.home == ".flowstone"
    assert (settings.lease, settings.shutdown_timeout) == (15.0, 30.0)
    assert (settings.max_concurrency, settings.max_threads) == (64, 8)
    assert (settings.cancel_timeout, settings.connect_timeout) == (5.0, 10.0)
    assert (settings.lost_attempts, settings.auto_migrate) == (3, True)
    assert settings.log_level == "info"


def test_the_environment_sets_them(monkeypatch):
    """`FLOWSTONE_` and the name in capitals."""
    monkeypatch.setenv("FLOWSTONE_MAX_CONCURRENCY", "7")
    monkeypatch.setenv("FLOWSTONE_STORE", "file://runs")
    monkeypatch.setenv("FLOWSTONE_AUTO_MIGRATE", "false")
    settings = Settings()
    assert (settings.max_concurrency, settings.store, settings.auto_migrate) == (7, "file://runs", False)


def meter_pipeline(meter):
    """Twenty steps that count how many are inside."""
    pipeline = Pipeline()

    async def work() -> None:
        async with meter:
            for _ in range(3):
                await asyncio.sleep(0)

    for number in range(20):
        pipeline.asset(name=f"part_{number}")(work)
    pipeline.asset(name="whole", deps=[f"part_{number}" for number in range(20)])(work)
    return pipeline


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 3),
        ({"settings": Settings(max_concurrency=5)}, 5),
        ({"settings": Settings(max_concurrency=5), "max_concurrency": 2}, 2),
        ({"max_concurrency": 4}, 4),
        ({"max_concurrency": None}, 3),
    ],
)
async def test_keyword_arguments_win_over_settings_over_the_environment(monkeypatch, options, expected):
    """The nearest one counts; None means not given."""
    monkeypatch.setenv("FLOWSTONE_MAX_CONCURRENCY", "3")
    meter = Meter()
    async with Runtime(meter_pipeline(meter), **options) as runtime:
        await runtime.materialize_all("whole")
    assert meter.most == expected


async def test_the_store_may_come_from_the_environment(monkeypatch, tmp_path):
    """`FLOWSTONE_STORE` is used where `store=` is not given."""
    monkeypatch.setenv("FLOWSTONE_STORE", f"file://{tmp_path}/from_environment")
    pipeline = Pipeline()
    async with Runtime(pipeline):
        assert (tmp_path / "from_environment").is_dir()
    async with Runtime(pipeline, store=f"file://{tmp_path}/from_argument"):
        assert (tmp_path / "from_argument").is_dir()


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": 0},
        {"max_concurrency": "many"},
        {"max_threads": -1},
        {"cancel_timeout": -1},
        {"lease": 0},
        {"shutdown_timeout": float("nan")},
        {"no_such_option": 1},
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(options):
    """The name of the option and what it takes; no page of validation output."""
    with pytest.raises(ValueError, match=next(iter(options))) as caught:
        Runtime(Pipeline(), **options)
    assert "\n" not in str(caught.value)


WHOLE, SECONDS = "a whole number from 1 to 2,147,483,647", "a number of seconds of more than 0"


@pytest.mark.parametrize("make", [Settings, lambda **options: Runtime(Pipeline(), **options)])
@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("max_threads", 0, WHOLE),
        ("max_concurrency", 2**31, WHOLE),
        ("max_threads", "8", WHOLE),
        ("max_threads", True, WHOLE),
        ("keep_runs", 2.0, WHOLE),
        ("lease", "3", SECONDS),
        ("lease", True, SECONDS),
        ("lease", float("inf"), SECONDS),
        ("shutdown_timeout", -1, "a number of seconds of at least 0"),
        ("auto_migrate", 1, "true or false"),
        ("auto_migrate", "false", "true or false"),
        ("home", 3, "text"),
        ("log_level", "loud", "debug, info, warning or error"),
    ],
)
def test_an_argument_is_what_the_setting_takes(make, name, value, takes):
    """Nothing is converted, and the sentence says what the setting takes and what was given."""
    with pytest.raises(ValueError, match=name) as caught:
        make(**{name: value})
    assert str(caught.value) == f"{name} takes {takes}, not {value!r}."


@pytest.mark.parametrize("make", [Settings, lambda: Runtime(Pipeline())])
@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("FLOWSTONE_LEASE", "abc", SECONDS),
        ("FLOWSTONE_MAX_THREADS", "2.5", WHOLE),
        ("FLOWSTONE_KEEP_RUNS", "0", WHOLE),
        ("FLOWSTONE_AUTO_MIGRATE", "perhaps", "true or false"),
    ],
)
def test_a_variable_that_cannot_be_is_named(monkeypatch, make, name, value, takes):
    """What is wrong in the environment is named by its variable, in the words that an argument gets."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name) as caught:
        make()
    assert str(caught.value) == f"{name} takes {takes}, not {value!r}."


def test_an_argument_is_asked_before_the_environment(monkeypatch):
    """A variable that cannot be is no matter where an argument wins over it."""
    monkeypatch.setenv("FLOWSTONE_LEASE", "abc")
    assert Settings(lease=3).lease == 3.0


def test_a_misspelt_setting_is_suggested():
    """The nearest name, rather than the list of all."""
    with pytest.raises(
        ValueError, match=r"^There is no setting 'max_thread'\. Did you mean 'max_threads'\?$"
    ):
        Runtime(Pipeline(), max_thread=3)


async def test_a_misspelt_variable_is_logged(monkeypatch, caplog):
    """What is nearly a setting is warned of when a runtime is entered; a stranger's and a test's are not."""
    monkeypatch.setenv("FLOWSTONE_LEESE", "hidden")
    monkeypatch.setenv(
        "FLOWSTONE_PORT", "tcp://10.0.0.1:80"
    )  # As Kubernetes sets for a service of that name.
    monkeypatch.setenv("FLOWSTONE_TEST_LEASE", "3")
    monkeypatch.setenv("FLOWSTONE_MAX_THREADS", "3")
    async with Runtime(Pipeline()):
        pass
    warned = [record.getMessage() for record in caplog.records if record.name == "flowstone.variables"]
    assert warned == [
        "FLOWSTONE_LEESE is not a setting, so it changes nothing. Did you mean FLOWSTONE_LEASE?"
    ]


def test_settings_are_frozen():
    """One `Settings` may be shared by runtimes."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().max_threads = 1


async def test_a_store_that_does_not_open_in_time_is_unavailable(monkeypatch):
    """Entering the runtime gives up after `connect_timeout`."""

    class Slow(UnreliableStore):
        async def open(self):
            await asyncio.Event().wait()

    with pytest.raises(StoreUnavailable, match="connect_timeout"):
        async with Runtime(Pipeline(), store=Slow(), connect_timeout=0.01):
            pass


async def test_a_store_url_nobody_knows_is_refused():
    """The sentence lists what there is."""
    with pytest.raises(StoreUnavailable, match="file://DIR"):
        async with Runtime(Pipeline(), store="oracle://x"):
            pass


async def test_a_store_object_is_used_as_it_is():
    """It is opened on entry and closed when the runtime is left, also when the body raises."""
    store = UnreliableStore()
    with pytest.raises(LookupError, match="body"):
        async with Runtime(Pipeline(), store=store):
            assert not store.closed
            raise LookupError("body")
    assert store.closed


def test_importing_the_package_loads_no_settings():
    """pydantic-settings is loaded when a runtime is made, not before."""
    code = "import sys, flowstone; print('pydantic_settings' in sys.modules, 'asyncpg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"FLOWSTONE_STORE": "file://runs"},
        {"flowstone_home": "elsewhere", "FLOWSTONE_STORE": ""},
        {"FLOWSTONE_STORE": "memory://", "FLOWSTONE_PORT": "tcp://10.0.0.1:80"},
    ],
)
def test_an_environment_of_text_is_read_as_the_settings_read_it(monkeypatch, said):
    """Without them, because nothing in it has to be checked; one number, and they are asked."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FLOWSTONE_{name.upper()}", raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    plain = plain_environment()
    assert plain is not None
    assert options_from(None, {}) == Options(**plain) == Options(**Settings().model_dump())
    monkeypatch.setenv("FLOWSTONE_LEASE", "5")
    assert plain_environment() is None
    assert options_from(None, {}).lease == 5.0


async def test_max_threads_bounds_the_functions_in_threads(background):
    """More plain functions than threads wait for their turn; all are done."""
    import threading

    pipeline = Pipeline()
    lock, inside, most = threading.Lock(), [0], [0]
    two = threading.Event()

    @pipeline.asset
    def work() -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            if inside[0] == 2:
                two.set()
        assert two.wait(60)
        with lock:
            inside[0] -= 1

    async with Runtime(pipeline, max_threads=2) as runtime:
        result = await runtime.backfill("work", partitions=range(10), max_parallel=None)
        assert len(result.succeeded) == 10
        assert most[0] == 2


async def test_cancel_timeout_bounds_a_clean_up(clock, background):
    """An asset that cleans up for too long is killed; zero kills at once."""
    pipeline, gate = Pipeline(), Gate()

    @pipeline.asset
    async def slow() -> None:
        try:
            await gate.wait()
        finally:
            await asyncio.Event().wait()

    async with Runtime(pipeline, clock=clock, cancel_timeout=0) as runtime:
        run = await runtime.submit("slow")
        await gate.entered.wait()
        call = background(run.cancel())
        await clock.advance(0.5)
        await call
        assert await run.status() == "cancelled"
