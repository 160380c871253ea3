"""The page of what waits: what is asked, what follows, and the answer."""

from __future__ import annotations

import pytest

from flowstone import AlreadyDecided, Context, Pipeline
from flowstone.runs.access import Role
from flowstone.server.access.identity import Identity

HOSTILE = "<script>alert(1)</script>"


def shop(**approval) -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def model(context: Context) -> int:
        context.approval(
            "publish", message=f"Publish {HOSTILE}?", data={"version": 42, "of": HOSTILE}, **approval
        )
        return 42

    @pipeline.asset
    async def forecast(model: int) -> int:
        return model

    @pipeline.asset
    async def unrelated(model: int) -> int:
        return model

    @pipeline.asset
    async def register(context: Context) -> int:
        context.signal_token("faa")
        context.signal("faa")
        return 1

    @pipeline.asset
    async def cooled(context: Context) -> int:
        context.sleep("cool down", 7200.0)
        return 1

    return pipeline


async def parked(runtime, asset):
    """A run of it that waits."""
    run = await runtime.submit(asset)
    async for event in run.events():
        if event.kind == "run.waiting":
            break
    return run


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    """Where the runs are."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")


async def test_it_says_what_is_asked_and_what_follows(visit, store):
    """What waits in the same run for the step, and no other; what others write is text."""
    async with visit(shop(timeout=7200.0, on_timeout="reject"), store=store) as visitor:
        await parked(visitor.runtime, "forecast")
        (pending,) = await visitor.runtime.approvals()
        for path in ("/waiting", f"/waiting/{pending.id}"):
            page = (await visitor.get(path)).text
            assert "<script>alert(1)" not in page
            assert "Publish &lt;script&gt;" in page
            assert '<a href="/assets/forecast">forecast</a>' in page
            assert "/assets/unrelated" not in page
            assert "as reject. A late answer is refused." in page
            assert "1 h 59 min left" in page
            assert f'action="/waiting/{pending.id}"' in page


async def test_what_goes_on_by_itself_is_a_list_of_its_own(visit, store):
    """Instants; a signal is an answer that something outside gives. Neither has buttons."""
    async with visit(shop(), store=store) as visitor:
        await parked(visitor.runtime, "cooled")
        page = (await visitor.get("/waiting")).text
        assert "Nothing waits for you" in page
        await parked(visitor.runtime, "register")
        page = (await visitor.get("/waiting")).text
        assert "Nothing waits for you" not in page
        answers, _, by_itself = page.partition("Goes on by itself")
        assert ("faa" in answers, "cool down" in by_itself) == (True, True)
        assert ("faa" in by_itself.partition("</ul>")[0], "cool down" in answers) == (False, False)
        for wait in await visitor.runtime.waits():
            one = (await visitor.get(f"/waiting/{wait.id}")).text
            assert ("It holds no slot meanwhile." in one, 'value="approve"' in one) == (True, False)


async def test_it_is_approved_with_a_reason_by_whoever_asks(visit, store):
    """And then says so, without buttons; a second answer is refused, with what was decided."""
    async with visit(shop(), store=store) as visitor:
        run = await parked(visitor.runtime, "forecast")
        (pending,) = await visitor.runtime.approvals()
        path = f"/waiting/{pending.id}"
        done = await visitor.post(path, data={"act": "approve", "reason": " better than v41 "})
        assert (done.status_code, done.headers["location"]) == (303, path)
        decided = await visitor.runtime.approval(pending.id)
        assert (decided.status, decided.by, decided.reason) == ("approved", "local", "better than v41")
        assert (await run.wait()).run_id == run.id
        page = (await visitor.get(path)).text
        assert "local approved" in page
        assert 'value="approve"' not in page
        late = await visitor.post(path, data={"act": "reject", "reason": "no"})
        assert late.status_code == 409
        assert 'role="alert"' in late.text
        with pytest.raises(AlreadyDecided):
            await visitor.runtime.reject(pending.id, by="grace")
        listed = (await visitor.get("/waiting?show=decided")).text
        assert "approved by local" in listed


async def test_it_is_rejected_only_with_a_reason(visit):
    """Those whose step fails by it read that; earlier answers are shown with the next one."""
    async with visit(shop()) as visitor:
        await parked(visitor.runtime, "model")
        (pending,) = await visitor.runtime.approvals()
        path = f"/waiting/{pending.id}"
        refused = await visitor.post(path, data={"act": "reject", "reason": "  "})
        assert (refused.status_code, "Say why it is rejected" in refused.text) == (422, True)
        assert (await visitor.post(path, data={"act": "burn"})).status_code == 422
        assert (await visitor.post(path, data={"act": "reject", "reason": HOSTILE})).status_code == 303
        await parked(visitor.runtime, "model")
        page = (await visitor.get("/waiting")).text
        assert "Earlier answers" in page
        assert "local: “&lt;script&gt;alert(1)&lt;/script&gt;”" in page


async def test_what_is_over_or_was_never_there(visit):
    """An id of nothing that waits says so; what is none is not found."""
    async with visit(shop()) as visitor:
        assert "This is over" in (await visitor.get(f"/waiting/{'0' * 20}")).text
        assert (await visitor.get("/waiting/nonsense")).status_code == 404
        assert "Nothing waits for you" in (await visitor.get("/waiting")).text


async def test_who_may_only_read_sees_no_buttons_and_is_refused(visit, monkeypatch):
    """But sees all that is asked."""
    async with visit(shop()) as visitor:
        await parked(visitor.runtime, "model")
        (pending,) = await visitor.runtime.approvals()
        monkeypatch.setattr("flowstone.server.access.visit.LOCAL", Identity("eve", Role.READ))
        page = (await visitor.get("/waiting")).text
        assert ('name="act"' in page, "to answer takes one that may operate" in page) == (False, True)
        assert (await visitor.post(f"/waiting/{pending.id}", data={"act": "approve"})).status_code == 403
        assert (await visitor.runtime.approval(pending.id)).status == "pending"
