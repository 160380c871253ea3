"""What is shown where there is nothing to show: a page to browsers, a problem to programs."""

from __future__ import annotations

import pytest

from flowstone import Pipeline
from flowstone.errors import StoreUnavailable

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    return pipeline


async def test_an_unknown_address_is_a_page_to_a_browser(visit):
    """With what surrounds every page, so that one finds back; it is the same below any path."""
    async with visit(shop()) as visitor:
        for path in ("/nothing", "/nothing/at/all", "/assets/nothing", "/runs/nothing"):
            page = await visitor.get(path, headers=BROWSER)
            assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
            assert "Nothing is at this address." in page.text
            assert '<nav class="nav"' in page.text
            assert "hx-sse:connect" not in page.text


async def test_what_is_asked_for_is_no_markup(visit):
    """Names of what there is not are text."""
    async with visit(shop()) as visitor:
        page = await visitor.get("/assets/<script>alert(1)</script>", headers=BROWSER)
        assert (page.status_code, "<script>alert" in page.text) == (404, False)


async def test_programs_get_a_problem(visit):
    """As everything of the API does, whatever it accepts."""
    async with visit(shop()) as visitor:
        for path, headers in (("/nothing", {}), ("/api/v1/nothing", BROWSER), ("/live/nothing", BROWSER)):
            answer = await visitor.get(path, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (404, "NotFound")
            assert answer.headers["content-type"] == "application/problem+json"


async def test_whoever_is_not_known_is_led_to_the_login(visit):
    """As by the pages that there are: the answer does not say which these are."""
    async with visit(shop(), host="10.0.0.7", base="http://127.0.0.1:8150") as visitor:
        answer = await visitor.get("/nothing", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("path", ["/", "/assets", "/runs", "/system"])
async def test_a_store_that_does_not_answer_is_said_on_a_page(visit, monkeypatch, caplog, path):
    """Which stands alone, as what surrounds it is read from the same store; where that is, is in the log."""

    async def runs(*_, **__):
        raise StoreUnavailable("postgres://db.internal/shop does not answer: connection refused")

    async with visit(shop()) as visitor:
        monkeypatch.setattr(type(visitor.runtime), "runs", runs)
        page = await visitor.get(path, headers=BROWSER)
        assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert "The store does not answer." in page.text
        assert "db.internal" not in page.text
        assert "postgres://db.internal/shop does not answer: connection refused" in caplog.text
        assert "Not available" in page.text


@pytest.mark.parametrize("path", ["/", "/nothing"])
async def test_nobody_is_known_where_the_store_does_not_answer(visit, monkeypatch, path):
    """Who shows a token is found in the same store: the page stands alone."""

    async def identify(*_):
        raise StoreUnavailable("postgres://db.internal/shop does not answer: connection refused")

    async with visit(shop(), host="10.0.0.7") as visitor:
        token = await visitor.runtime.create_token("alice", "read")
        monkeypatch.setattr(type(visitor.runtime), "identify", identify)
        shown = {**BROWSER, "Authorization": f"Bearer {token}"}
        page = await visitor.get(path, headers=shown)
        assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert "The store does not answer." in page.text
        assert '<nav class="nav"' not in page.text


async def test_a_form_that_is_no_more_of_this_page_is_answered_with_one(visit):
    """A change without the word of the page: 403, in a sentence."""
    async with visit(shop()) as visitor:
        page = await visitor.post("/runs/x/cancel", headers={**BROWSER, "Sec-Fetch-Site": "same-origin"})
        assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
        assert "Not allowed" in page.text
