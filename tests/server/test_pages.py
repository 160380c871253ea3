"""What every page is: HTML that a reader understands, with nothing in it but text of others."""

from __future__ import annotations

import contextlib

from flowstone import Pipeline, RunFailed
from flowstone.server.render import static_version

HOSTILE = "<script>alert(1)</script>\" onload='x' &amp;"


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def orders() -> int:
        return 1

    @pipeline.asset
    async def broken(orders: int) -> int:
        raise OSError(HOSTILE)

    return pipeline


async def test_nothing_is_made_until_something_is_and_what_fails_is_said(visit):
    """The first sentence says it; a failed run is there until a later one succeeds."""
    async with visit(shop()) as visitor:
        before = await visitor.get("/")
        assert (before.status_code, "Nothing has been made yet." in before.text) == (200, True)
        run = await visitor.runtime.submit("broken")
        await visitor.runtime.materialize("orders")
        with contextlib.suppress(RunFailed):
            await run.wait()
        after = await visitor.get("/")
        assert "1 asset failed" in after.text
        assert f"/runs/{run.id}" in after.text


async def test_what_others_write_is_text(visit):
    """A message of an approval is no markup."""
    pipeline = Pipeline("bank")

    @pipeline.asset
    async def paid(context) -> int:
        context.approval("pay", message=HOSTILE)
        return 1

    async with visit(pipeline) as visitor:
        run = await visitor.runtime.submit("paid")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        page = await visitor.get("/")
        assert "<script>alert(1)" not in page.text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34; onload=&#39;x&#39;" in page.text


async def test_a_page_tells_browsers_what_they_may_do(visit):
    """Scripts and styles of its own only, no frames, nothing kept but static files of a version."""
    async with visit(shop()) as visitor:
        page = await visitor.get("/")
        policy = page.headers["content-security-policy"]
        assert "script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-frame-options"] == "DENY"
        style = page.text.partition('<link rel="stylesheet" href="')[2].partition('"')[0]
        kept = await visitor.get(style)
        assert (kept.status_code, kept.headers["cache-control"]) == (
            200,
            "public, max-age=31536000, immutable",
        )


async def test_only_files_of_this_version_are_kept(visit):
    """Not what is not there, and not what is asked for by the version of another release."""
    async with visit(shop()) as visitor:
        version = static_version()
        for path, status in (
            (f"/static/nothing.css?v={version}", 404),
            ("/static/flowstone.css?v=1", 200),
            (f"/static/flowstone.css?v={version}1", 200),
            ("/static/flowstone.css", 200),
        ):
            answer = await visitor.get(path)
            assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-store")


async def test_it_lies_below_a_path_of_somebody_else(visit):
    """`app.mount("/flow", runtime.ui())`: every address of the page leads below it."""
    from fastapi import FastAPI

    async with visit(shop()) as visitor:
        outer = FastAPI()
        outer.mount("/flow", visitor.runtime.ui())
        visitor.client._transport.app = outer
        page = await visitor.get("/flow/")
        assert page.status_code == 200
        found = [part.partition('"')[0] for part in page.text.split('href="')[1:]]
        assert [each for each in found if not each.startswith(("/flow/", "#"))] == []


async def test_the_description_of_the_api_says_where_it_lies(visit):
    """Below a mount, and below what a proxy cut off; the help of each page leads to it."""
    from fastapi import FastAPI

    async with visit(shop()) as visitor:
        description = "/api/v1/openapi.json"
        assert (await visitor.get(description)).json()["servers"] == [{"url": "/"}]
        behind = await visitor.get(description, headers={"X-Forwarded-Prefix": "/proxied"})
        assert behind.status_code == 401  # Whoever comes through a proxy is nobody at this machine.
        assert f'href="{description}"' in (await visitor.get("/")).text
        outer = FastAPI()
        outer.mount("/flow", visitor.runtime.ui())
        visitor.client._transport.app = outer
        assert (await visitor.get(f"/flow{description}")).json()["servers"] == [{"url": "/flow"}]
        assert f'href="/flow{description}"' in (await visitor.get("/flow/")).text
