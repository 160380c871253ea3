"""The page of automations: what fires when, what came of it, and the buttons."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from flowstone import Automation, Pipeline
from flowstone.runs.access import Role
from flowstone.server.access.identity import Identity
from flowstone.server.views.automation_rows import automation_path
from flowstone.server.views.rules import rule_of

HOSTILE = "nightly/<script>alert(1)</script>?#%2e"


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    @pipeline.asset
    async def broken() -> int:
        raise OSError("no such file")

    @pipeline.asset(automation=Automation.on_upstream_change())
    async def report(orders: int) -> int:
        return orders

    @pipeline.sensor("inbox", every=3600.0)
    async def inbox(context):
        raise ConnectionError("no answer <b>")

    @pipeline.on("run.failed")
    async def tell(event) -> None:
        pass

    pipeline.schedule("nightly", cron="0 6 * * *", asset="orders", timezone="Europe/Oslo")
    pipeline.schedule(HOSTILE, cron="20 * * * *", asset="broken")
    return pipeline


async def test_each_has_a_row_with_its_rule_in_words(visit):
    """And a link to its page, whatever its name is."""
    async with visit(shop()) as visitor:
        page = (await visitor.get("/automation")).text
        for words in (
            "every day at 06:00, Europe/Oslo",
            "every hour at :20, UTC",
            "when something upstream has changed",
            "looks every 3600 s",
            "when there is run.failed",
            "5 automations",
        ):
            assert words in page
        assert "<script>alert(1)" not in page
        one = await visitor.get(f"/automation/{quote(HOSTILE, safe='')}")
        assert one.status_code == 200
        assert "&lt;script&gt;alert(1)" in one.text
        assert (await visitor.get("/automation/of-nobody")).status_code == 404


async def test_one_kind_is_shown_alone(visit):
    """By a parameter of the address."""
    async with visit(shop()) as visitor:
        sensors = (await visitor.get("/automation?kind=sensor")).text
        assert "looks every 3600 s" in sensors
        assert "Europe/Oslo" not in sensors


async def test_it_is_paused_with_a_reason_and_resumed(visit):
    """What is typed is kept with the name of who typed it."""
    async with visit(shop()) as visitor:
        asked = (await visitor.get("/automation?pause=nightly")).text
        assert "Pause nightly?" in asked
        done = await visitor.post(
            "/automation", data={"name": "nightly", "act": "pause", "reason": "<b>the warehouse moves</b>"}
        )
        assert (done.status_code, done.headers["location"]) == (303, "/automation")
        status = next(each for each in await visitor.runtime.automations() if each.name == "nightly")
        assert (status.paused, status.paused_by) == (True, "local")
        page = (await visitor.get("/automation")).text
        assert "by local: &lt;b&gt;the warehouse moves&lt;/b&gt;" in page
        await visitor.post("/automation/nightly", data={"act": "resume"})
        status = next(each for each in await visitor.runtime.automations() if each.name == "nightly")
        assert not status.paused


async def test_it_is_fired_and_its_run_is_shown(visit):
    """With what became of it, and who asked."""
    async with visit(shop()) as visitor:
        done = await visitor.post(f"/automation/{quote(HOSTILE, safe='')}", data={"act": "fire"})
        assert done.headers["location"] == automation_path(HOSTILE)
        (run,) = await visitor.runtime.runs(asset="broken")
        async for _ in (await visitor.runtime.run(run.id)).events():
            pass
        page = (await visitor.get("/automation")).text
        assert f'href="/runs/{run.id}"' in page
        assert "by local" in page
        detail = (await visitor.get(done.headers["location"])).text
        assert (f'href="/runs/{run.id}"' in detail, "failed" in detail) == (True, True)


async def test_what_fails_is_said_where_it_was_asked_for(visit):
    """A sensor whose function raises: the page again, with the reason, and nothing of it is markup."""
    async with visit(shop()) as visitor:
        answer = await visitor.post("/automation", data={"name": "inbox", "act": "fire"})
        assert answer.status_code == 422
        assert "ConnectionError: no answer &lt;b&gt;" in answer.text
        listener = await visitor.post("/automation", data={"name": "tell", "act": "fire"})
        assert (listener.status_code, "there is nothing to fire" in listener.text) == (404, True)
        assert (await visitor.post("/automation", data={"name": "nightly", "act": "burn"})).status_code == 404


async def test_who_may_only_read_sees_no_buttons_and_is_refused(visit, monkeypatch):
    """Not even by hand."""
    async with visit(shop()) as visitor:
        monkeypatch.setattr("flowstone.server.access.visit.LOCAL", Identity("eve", Role.READ))
        page = (await visitor.get("/automation?pause=nightly")).text
        assert ("Run now" in page, 'name="act"' in page) == (False, False)
        refused = await visitor.post("/automation", data={"name": "nightly", "act": "pause"})
        assert refused.status_code == 403


async def test_without_any_it_says_how_to_have_one(visit):
    """One line of code."""
    pipeline = Pipeline("empty")
    async with visit(pipeline) as visitor:
        assert "pipeline.schedule(" in (await visitor.get("/automation")).text


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 6 * * *", "every day at 06:00"),
        ("30 6,18 * * *", "every day at 06:30, 18:30"),
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/7 * * * *", "*/7 * * * *"),
        ("0 * * * *", "every hour"),
        ("20 * * * *", "every hour at :20"),
        ("0 */6 * * *", "every 6 hours"),
        ("0 */7 * * *", "0 */7 * * *"),
        ("0 2 1 * *", "on the 1st of the month at 02:00"),
        ("0 2 L * *", "on the last day of the month at 02:00"),
        ("0 7 * * 1-5", "on weekdays at 07:00"),
        ("0 7 * * MON", "every Monday at 07:00"),
        ("0 7 * * 7", "every Sunday at 07:00"),
        ("0 7 13 * 5", "0 7 13 * 5"),
        ("0 7 * 2 *", "0 7 * 2 *"),
        ("* 7 * * *", "* 7 * * *"),
        ("*/5 * * * 1", "*/5 * * * 1"),
        ("@daily", "every day at 00:00"),
        ("@weekly", "every Sunday at 00:00"),
        ("@yearly", "@yearly"),
    ],
)
def test_common_rules_have_words(cron, words):
    """And of all others the expression is shown, for words would be wrong."""
    assert rule_of("schedule", f"{cron} UTC") == f"{words}, UTC"


def test_conditions_have_words():
    """Those of one part or of several of which one is enough."""
    one = Automation.on_missing() | Automation.on_code_change()
    assert rule_of("condition", repr(one)) == "when a value is missing or its code has changed"
    assert rule_of("condition", repr(Automation.on_cron("0 18 * * *"))) == "every day at 18:00, UTC"
    both = repr(Automation.on_missing() & Automation.on_upstream_change())
    assert rule_of("condition", both) == both


def test_a_name_made_of_steps_of_a_path_has_an_address():
    """Browsers would work `..` out; of anything else slashes stay."""
    assert automation_path("a/b c") == "/automation/a/b%20c"
    assert automation_path("../x") == "/automation/?name=..%2Fx"


async def test_a_schedule_of_several_assets_is_shown_with_each_of_them(visit):
    """Its selection is no link, for it is no asset; the pages of the assets name it."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def raw() -> int:
        return 1

    @pipeline.asset
    async def clean(raw: int) -> int:
        return raw

    @pipeline.asset
    async def other() -> int:
        return 1

    pipeline.schedule("nightly", cron="@daily", asset="raw+", refresh="all")
    async with visit(pipeline, automate=True) as visitor:
        await visitor.runtime.fire("nightly")
        for path in ("/automation", "/automation/nightly"):
            page = (await visitor.get(path)).text
            assert "raw+" in page
            assert "/assets/raw+" not in page
        assert "nightly" in (await visitor.get("/assets/raw")).text
        assert "nightly" in (await visitor.get("/assets/clean")).text
        assert "nightly" not in (await visitor.get("/assets/other")).text
