"""Whatever is passed to what defines automations, the answer is a sentence of FlowStone's, where it is passed."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import pytest

from flowstone import (
    Automation,
    DailyPartitions,
    DefinitionError,
    FileSensor,
    FlowstoneError,
    Freshness,
    ObjectSensor,
    Pipeline,
    RunRequest,
    Runtime,
    SensorContext,
    Tick,
    WebhookAlert,
)
from flowstone.alerts import SignatureError, sign, verify_signature
from flowstone.errors import ArgumentError

NOW = datetime(2025, 1, 1, tzinfo=UTC)


class NoBool:
    """As an array: it is not compared, nor true or false."""

    __hash__ = None

    def __bool__(self):
        raise TypeError("the truth value is ambiguous")

    def __eq__(self, other):
        return self


GARBAGE = [
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    math.nan,
    math.inf,
    "",
    " ",
    "x" * 5000,
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "\ud800",
    b"x",
    [],
    [1],
    [[]],
    {},
    {1: 2},
    {"a": None},
    set(),
    object(),
    int,
    len,
    lambda: 1,
    date(2025, 1, 1),
    datetime(2025, 1, 1),  # noqa: DTZ001 - that it has no zone is the point
    timedelta.max,
    iter([1]),
    Ellipsis,
    NoBool(),
]


def shop():
    """A pipeline with an asset of each kind."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def plain() -> int:
        return 1

    @pipeline.asset(partitions=DailyPartitions("2024-01-01"))
    async def daily() -> int:
        return 1

    return pipeline


LANDING = {
    "asset": "plain",
    "existing": False,
    "name": "landing",
    "every": 30.0,
    "settle": 1.0,
    "partition": None,
    "config": None,
    "request": None,
    "upstream": True,
    "refresh": "all",
    "priority": 0,
    "tags": None,
    "limit": 10,
    "paused": False,
}


class _Asset:
    partitions = None


def _context(assets=None):
    return SensorContext("look", None, NOW, None, assets or {})


def _scheduled(f):
    shop().schedule("n", cron="@daily")(f)


def _listening(f):
    shop().on("run.failed")(f)


SIGNED = {
    "webhook-id": "i",
    "webhook-timestamp": "1",
    "webhook-signature": sign("s", "i", 1, b""),
}

CALLS = {
    "schedule": (
        lambda name, **given: shop().schedule(name, **given),
        {
            "name": "n",
            "cron": "0 6 * * *",
            "asset": "plain",
            "partition": None,
            "timezone": "UTC",
            "upstream": True,
            "refresh": "missing",
            "overlap": "skip",
            "catch_up": "last",
            "paused": False,
        },
    ),
    "schedule of days": (
        lambda partition: shop().schedule("n", cron="@daily", asset="daily", partition=partition),
        {"partition": "latest"},
    ),
    "function of a schedule": (_scheduled, {"f": lambda tick: None}),
    "sensor": (
        lambda name, function, **given: shop().sensor(name, function, **given),
        {"name": "n", "function": lambda context: None, "every": 1.0, "limit": 1, "paused": False},
    ),
    "on": (
        lambda kind, **given: shop().on(kind, **given)(lambda event: None),
        {"kind": "run.failed", "asset": None, "name": "n", "timeout": 1.0},
    ),
    "function of on": (_listening, {"f": lambda event: None}),
    "add": (lambda it: shop().add(it), {"it": FileSensor("a/*", asset="plain")}),
    "FileSensor": (FileSensor, {"pattern": "landing/*.csv", **LANDING}),
    "ObjectSensor": (
        ObjectSensor,
        {"url": "s3://bucket/landing", "match": "*", "store": None, "options": None, **LANDING},
    ),
    "WebhookAlert": (
        lambda url, **given: shop().add(WebhookAlert(url, **given)),
        {
            "url": "https://example.com/hook",
            "kinds": ("run.failed",),
            "secret": None,
            "headers": None,
            "name": None,
            "asset": None,
            "timeout": 1.0,
            "insecure": False,
            "transport": None,
        },
    ),
    "header": (
        lambda name, value: WebhookAlert("https://example.com", headers={name: value}),
        {"name": "x", "value": "y"},
    ),
    "RunRequest": (
        RunRequest,
        {
            "asset": "plain",
            "partition": None,
            "partitions": None,
            "upstream": True,
            "refresh": "missing",
            "config": None,
            "key": None,
            "priority": 0,
            "tags": {},
            "join": True,
        },
    ),
    "Tick": (Tick, {"name": "n", "scheduled_at": NOW, "last": None}),
    "Freshness": (Freshness, {"within": 1.0, "overdue": None}),
    "asset": (
        lambda **given: Pipeline().asset(**given)(lambda: 1),
        {"freshness": None, "automation": None, "name": "a"},
    ),
    "on_cron": (
        lambda cron, timezone: Automation.on_cron(cron, timezone=timezone),
        {"cron": "@daily", "timezone": "UTC"},
    ),
    "when": (lambda f: Automation.on_missing().when(f), {"f": lambda context: True}),
    "cursor": (lambda cursor: setattr(_context(), "cursor", cursor), {"cursor": 1}),
    "add_partitions": (
        lambda name, keys: _context().add_partitions(name, keys),
        {"name": "files", "keys": ["a"]},
    ),
    "partitions_of": (lambda name: _context({"plain": _Asset}).partitions_of(name), {"name": "plain"}),
    "sign": (
        sign,
        {"secret": "s", "id": "evt", "timestamp": 1, "body": b"{}"},
    ),
    "verify_signature": (
        verify_signature,
        {"secret": "s", "headers": SIGNED, "body": b"", "now": 1.0, "tolerance": 1.0},
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_garbage_is_refused_in_a_sentence(call):
    """Whichever argument it is; or it is something that may be."""
    function, fine = CALLS[call]
    function(**fine)
    wrong = []
    for name in fine:
        for given in GARBAGE:
            if call == "header" and name == "name" and type(given).__hash__ is None:
                continue
            try:
                function(**{**fine, name: given})
            except FlowstoneError:
                pass
            except BaseException as error:
                wrong.append((name, given, error))
    assert wrong == []


class TestRunRequest:
    """What can be seen of a request alone is refused where it is made."""

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"partitions": []}, "lists no partitions, so there is nothing to run: make no request then"),
            ({"partitions": ()}, "lists no partitions"),
            ({"partitions": "2025-01-01"}, "takes a list of partitions; partition= takes a single one"),
            ({"partitions": 7}, "takes a list of partitions"),
            ({"partition": "a", "partitions": ["a"]}, "both partition= and partitions=: give one of them"),
            ({"tags": None}, "tags=None takes texts by name, 8,192 bytes in all"),
            ({"tags": {"a": 1}}, "takes texts by name"),
            ({"upstream": None}, "upstream=None takes True or False"),
            ({"join": 1}, "join=1 takes True or False"),
            ({"refresh": "some"}, "takes 'all', 'missing' or 'stale'"),
            ({"refresh": None}, "takes 'all', 'missing' or 'stale'"),
            ({"config": 7}, "takes a dict of fields, a Config, or None"),
            ({"key": ""}, "takes text of 1 to 200 characters"),
            ({"key": "x" * 201}, "takes text of 1 to 200 characters"),
            ({"priority": "high"}, "a whole number of at most 2,147,483,647"),
            ({"priority": True}, "a whole number"),
            ({"priority": 2**31}, "a whole number"),
        ],
    )
    def test_each_field(self, given, message):
        """With its name, and what it takes."""
        with pytest.raises(ArgumentError, match=r"^RunRequest\('plain'\)") as caught:
            RunRequest("plain", **given)
        assert message in str(caught.value)

    @pytest.mark.parametrize("asset", [None, "", " ", 7, b"plain"])
    def test_what_is_no_asset(self, asset):
        """It takes a name, an asset or a function."""
        with pytest.raises(
            ArgumentError, match="takes an asset: its name, the Asset or the decorated function"
        ):
            RunRequest(asset)

    def test_what_may_be(self):
        """Partitions that are made while they are read, no partition at all, an asset, a function."""
        pipeline = shop()
        assert RunRequest(pipeline.assets["daily"], partitions=(day for day in ())).key is None
        assert RunRequest(print, key=" ", priority=-3, tags={"a": "b"}).priority == -3


def test_names_are_read_in_terminals():
    """So they are one line, and nothing in them controls a terminal."""
    for name in ("a\nb", "\x1b[2Jnightly", "a\u202eb"):
        for define in (
            lambda name: shop().schedule(name, cron="@daily", asset="plain"),
            lambda name: shop().sensor(name, lambda context: None),
            lambda name: shop().on(name=name)(lambda event: None),
            lambda name: FileSensor("a/*", asset="plain", name=name),
        ):
            with pytest.raises(DefinitionError, match="leave out line breaks and what controls a terminal"):
                define(name)
    shop().schedule("nächtlich, 夜", cron="@daily", asset="plain")


def test_a_condition_is_combined_with_conditions_only():
    """Who leaves out the brackets is told of them."""
    with pytest.raises(
        TypeError, match=r"on_missing\(\) & .*combined with conditions only.*with its brackets"
    ):
        Automation.on_missing() & Automation.on_code_change


def test_a_function_of_a_condition_takes_the_context():
    """That is known where it is defined."""
    with pytest.raises(DefinitionError, match=r"on_missing\(\)\.when\(\) is called with one argument"):
        Automation.on_missing().when(lambda: True)


@pytest.mark.parametrize("given", [{"now": math.nan}, {"now": 1.0, "tolerance": math.nan}])
def test_a_signature_is_not_believed_by_a_clock_that_is_none(given):
    """What somebody has recorded would be taken at any time."""
    with pytest.raises(ArgumentError, match="take seconds"):
        verify_signature("s", SIGNED, b"", **given)


def test_halves_of_characters_in_a_header_match_nothing():
    """Whoever is sent such a request answers that it is not signed."""
    for name in ("webhook-id", "webhook-signature"):
        with pytest.raises(SignatureError, match="not signed with this secret"):
            verify_signature("s", {**SIGNED, name: "v1,\udcff"}, b"", now=1.0)


async def test_who_asks_and_why_is_text():
    """It is shown to people, and kept by every store."""
    async with Runtime(shop_with_a_schedule()) as runtime:
        for call in (
            lambda: runtime.fire("n", by=7),
            lambda: runtime.pause("n", by=7),
            lambda: runtime.pause("n", reason=["a"]),
            lambda: runtime.resume("n", by=b"ada"),
        ):
            with pytest.raises(ArgumentError, match=r"^(by|reason)=.* takes text for those who read it"):
                await call()
        await runtime.fire("n", by=None)
        (status,) = await runtime.automations()
        assert status.last_fires[0].by == ""


def shop_with_a_schedule():
    """A pipeline that has something to fire."""
    pipeline = shop()
    pipeline.schedule("n", cron="@yearly", asset="plain")
    return pipeline
