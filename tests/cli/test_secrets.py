"""A password reaches no place where text comes out."""

from __future__ import annotations

import json
import logging
import traceback

import pytest

from flowstone import MaterializationFailed, Pipeline, Runtime, Settings, StoreUnavailable
from flowstone.runtime.options import Options
from flowstone.store.open import open_store
from flowstone.store.postgres.address import Address
from flowstone.store.postgres.problems import unavailable

SECRET = "s3cr3t"
NOBODY = f"postgresql://ada:{SECRET}@127.0.0.1:1/shop"
UNESCAPED = [
    f"postgresql://ada:pw@{SECRET}@127.0.0.1:1/shop",
    f"postgresql://ada:12/{SECRET}@127.0.0.1:1/shop",
    f"postgresql://ada:12#{SECRET}@127.0.0.1:1/shop",
    f"postgresql://ada:12?{SECRET}=1@127.0.0.1:1/shop",
    f"postgresql://ada:p@12/{SECRET}@127.0.0.1:1/shop",
    f"postgresql://ada:p@12#{SECRET}",
]
FAILING = f"""
from flowstone import Pipeline
pipeline = Pipeline("p")

@pipeline.asset
def leaks(context) -> int:
    url = "{NOBODY}"
    context.log.warning("connecting", url=url)
    raise OSError("cannot reach {NOBODY}, password={SECRET}")
"""


def commands(store):
    """Everything that takes a store, as far as a store that cannot be reached goes."""
    return [
        ("runs", "--store", store),
        ("run", "1a", "--store", store),
        ("status", "leaks", "--store", store),
        ("lineage", "leaks", "--store", store),
        ("tree", "--store", store),
        ("migrate", "--store", store),
        ("doctor", "leaky.py", "--store", store),
        ("cancel", "1a", "--store", store),
        ("materialize", "leaky.py", "leaks", "--store", store),
        ("materialize", "leaky.py", "leaks", "--submit", "--store", store),
        ("backfill", "leaky.py", "leaks", "--partition", "a", "--store", store),
        ("plan", "leaky.py", "leaks", "--store", store),
        ("serve", "leaky.py", "--store", store),
        ("worker", "leaky.py", "--store", store),
        ("runs", store, "--store", store),
        ("runs", f"--{store}"),
    ]


@pytest.fixture
def leaky(shop, monkeypatch):
    (shop / "leaky.py").write_text(FAILING)
    monkeypatch.setenv("FLOWSTONE_CONNECT_TIMEOUT", "0.2")
    return shop


@pytest.mark.parametrize("store", [NOBODY, UNESCAPED[0], UNESCAPED[1], f"mysql://ada:{SECRET}@host/shop"])
@pytest.mark.parametrize("number", range(len(commands(""))))
def test_no_command_shows_the_password_of_its_store(leaky, cli, store, number):
    """As a sentence, as JSON and with a traceback."""
    for more in ((), ("--json",), ("--debug",)):
        result = cli(*commands(store)[number], *more)
        assert result.status != 0
        assert result.stdout + result.stderr
        assert SECRET not in result.stdout + result.stderr


def test_no_password_of_the_environment_is_shown(leaky, cli, monkeypatch):
    """Neither the one of libpq's variable nor that of `FLOWSTONE_STORE`."""
    monkeypatch.setenv("PGPASSWORD", SECRET)
    monkeypatch.setenv("FLOWSTONE_STORE", NOBODY)
    for command in (("doctor",), ("runs",), ("materialize", "leaky.py", "leaks", "--debug")):
        result = cli(*command)
        assert SECRET not in result.stdout + result.stderr
    monkeypatch.setenv("FLOWSTONE_LOG_LEVEL", NOBODY)
    result = cli("materialize", "leaky.py", "leaks")
    assert "FLOWSTONE_LOG_LEVEL takes debug" in result.stderr
    assert SECRET not in result.stdout + result.stderr


@pytest.mark.parametrize("more", [(), ("--json",), ("--debug",)])
def test_what_an_asset_raises_or_logs_is_masked(leaky, cli, more):
    """In the outcome, in the record, in the log lines and in the traceback with its lines of source."""
    result = cli("materialize", "leaky.py", "leaks", *more)
    assert "ada:***@127.0.0.1" in result.stdout + result.stderr
    assert SECRET not in result.stdout + result.stderr
    run_id = cli("runs", "--json").document["runs"][0]["id"]
    for again in (("run", run_id, *more), ("status", "leaks", *more)):
        result = cli(*again)
        assert SECRET not in result.stdout + result.stderr
    assert SECRET not in (leaky / ".flowstone" / "journal.jsonl").read_text()


async def test_a_failure_is_masked_where_it_is_raised(caplog):
    """Message, notes, frames and record; also in the application's log."""
    pipeline = Pipeline()

    @pipeline.asset
    def leaks() -> int:
        raise OSError(f"cannot reach {NOBODY}")

    caplog.set_level(logging.DEBUG)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize(leaks)
        text = f"{caught.value} {caught.value.__notes__} {caught.value.materialization}"
        assert "ada:***@" in text
        assert SECRET not in text
        assert SECRET not in f"{runtime.tree()!r} {await runtime.health()!r} {runtime!r}"
    assert SECRET not in caplog.text


def test_settings_show_no_password():
    """Neither their `repr` nor the error about them."""
    for url in (NOBODY, *UNESCAPED[:4]):
        shown = f"{Settings(store=url)!r} {Settings(store=url)} {Options(store=url)!r}"
        assert "lease=15.0" in shown
        assert SECRET not in shown
        for given in ({"sotre": url}, {"lease": url}, {"store": [url]}):
            with pytest.raises(ValueError, match=next(iter(given))) as caught:
                Settings(**given)
            assert SECRET not in f"{caught.value!r} {caught.value}"
            if "store" not in given:
                with pytest.raises(ValueError, match=next(iter(given))) as refused:
                    Runtime(Pipeline(), **given)
                assert SECRET not in f"{refused.value!r}"


@pytest.mark.parametrize("url", UNESCAPED)
def test_an_unescaped_password_is_refused_without_a_word_of_it(url):
    """A part of it would pass for the host or for the database, and be shown as such."""
    with pytest.raises(StoreUnavailable, match="%XX") as caught:
        open_store(url)
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in text
    assert "12" not in str(caught.value)


def test_a_store_shows_no_password():
    """Neither its `repr` nor what it says of its parts."""
    store = open_store(NOBODY)
    assert SECRET not in f"{store!r} {store.address!r} {store.address} {store._database!r}"
    assert "ada@127.0.0.1:1/shop" in str(store.address)


def test_a_driver_that_repeats_the_password_is_masked(monkeypatch):
    """As written, as meant, or from the environment; in the sentence and in the cause below it."""
    monkeypatch.setenv("PGPASSWORD", "from the environment")
    address = Address.of("postgresql://ada:s3%20cr3t@host/shop")
    said = OSError(f"bad {address.dsn} or 's3 cr3t' or s3%20cr3t or from the environment")
    error = unavailable(address, said)
    text = "".join(traceback.format_exception(error))
    for secret in ("s3 cr3t", "s3%20cr3t", "from the environment"):
        assert secret not in text


def test_json_of_a_problem_is_masked(leaky, cli):
    """The document of an error has the sentence that people get."""
    document = json.loads(cli("runs", "--store", NOBODY, "--json").stdout)
    assert "ada@127.0.0.1:1/shop" in document["error"]["message"]
