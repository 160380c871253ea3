"""What a token opens: until when, for whom, and what is told of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from flowstone import AccessTokenNotFound, AccessTokenTaken, Pipeline, Role, Runtime
from flowstone.errors import ArgumentError
from flowstone.server.access.guard import Admin, Operator, Reader
from flowstone.store.access import SESSION_LASTS
from flowstone.testing import VirtualClock

PIPELINE = Pipeline("empty")
ELSEWHERE = {"host": "10.0.0.7", "base": "http://10.0.0.1:8150"}
START = datetime(2026, 1, 1, tzinfo=UTC)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_opens_what_its_role_may(visit):
    """From anywhere; and what is recorded is its name."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:

        @visitor.app.post("/operate")
        async def operate(identity: Operator) -> str:
            return identity.name

        @visitor.app.post("/admin")
        async def admin(identity: Admin) -> str:
            return identity.name

        answers = {}
        for role in Role:
            token = await visitor.runtime.create_token(f"the-{role}", role)
            for path in ("/operate", "/admin"):
                answer = await visitor.post(path, headers=bearer(token))
                answers[role, path] = answer.status_code
                assert answer.status_code == 403 or answer.json() == f"the-{role}"
            assert (await visitor.get("/api/v1/assets", headers=bearer(token))).status_code == 200
        assert answers == {
            ("read", "/operate"): 403,
            ("read", "/admin"): 403,
            ("operate", "/operate"): 200,
            ("operate", "/admin"): 403,
            ("admin", "/operate"): 200,
            ("admin", "/admin"): 200,
        }


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer fst_",
        "Bearer fst_" + "A" * 43,
        "Bearer fst_" + "A" * 100_000,
        "Bearer fst_\xe4",
        "Basic YTpi",
        "fst_",
        "\x00",
    ],
)
async def test_what_is_no_token_opens_nothing(visit, header):
    """Not at this machine either: whoever shows something means it."""
    async with visit(PIPELINE) as visitor:
        for path in ("/api/v1/assets", "/api/v1/openapi.json"):
            refused = await visitor.get(path, headers={"Authorization": header.encode("latin-1")})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] in {"Bearer", 'Bearer error="invalid_token"'}


async def test_a_session_is_no_token(visit):
    """What a cookie has is worth nothing in a header, nor the other way round."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        token = await visitor.runtime.create_token("ada", "read")
        session = await visitor.runtime.log_in(token)
        assert (await visitor.get("/api/v1/assets", headers=bearer(session))).status_code == 401
        assert await visitor.runtime.log_in(session) is None


async def test_a_token_that_is_over_or_revoked_opens_nothing():
    """From the very instant; a session of it neither."""
    clock = VirtualClock(START)
    async with Runtime(PIPELINE, clock=clock) as runtime:
        token = await runtime.create_token("ada", "read", timedelta(hours=1), by="bob")
        (known,) = await runtime.tokens()
        assert (known.created_by, known.expires_at) == ("bob", START + timedelta(hours=1))
        session = await runtime.log_in(token)
        await clock.advance(3_599)
        assert (await runtime.identify(token)).name == (await runtime.identify(session)).name == "ada"
        await clock.advance(1)
        assert (await runtime.identify(token), await runtime.identify(session)) == (None, None)
        other = await runtime.create_token("eve", "read")
        session = await runtime.log_in(other)
        await runtime.revoke_token("eve")
        assert (await runtime.identify(other), await runtime.identify(session)) == (None, None)
        assert await runtime.log_in(other) is None


async def test_a_session_lasts_seven_days():
    """Of a token that has no end."""
    clock = VirtualClock(START)
    async with Runtime(PIPELINE, clock=clock) as runtime:
        session = await runtime.log_in(await runtime.create_token("ada", "read"))
        await clock.advance(SESSION_LASTS.total_seconds() - 1)
        assert await runtime.identify(session) is not None
        await clock.advance(1)
        assert await runtime.identify(session) is None


async def test_when_it_was_used_is_known_to_the_minute():
    """By a session as well."""
    clock = VirtualClock(START)
    async with Runtime(PIPELINE, clock=clock) as runtime:
        token = await runtime.create_token("ada", "read")
        assert (await runtime.tokens())[0].used_at is None
        session = await runtime.log_in(token)
        await clock.advance(59)
        await runtime.identify(token)
        assert (await runtime.tokens())[0].used_at == START
        await clock.advance(1)
        await runtime.identify(session)
        assert (await runtime.tokens())[0].used_at == START + timedelta(minutes=1)


async def test_what_cannot_be_a_token_is_refused():
    """In a sentence, before anything is kept."""
    async with Runtime(PIPELINE) as runtime:
        for name in ("", " ", "a b", "a\nb", "-a", "a" * 101, "local", "<b>", None, 7):
            with pytest.raises(ArgumentError):
                await runtime.create_token(name, "read")
        for role in ("root", "", None, "READ\n"):
            with pytest.raises(ArgumentError):
                await runtime.create_token("ada", role)
        for end in (timedelta(0), timedelta.max, datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1), 7):  # noqa: DTZ001 - refused
            with pytest.raises(ArgumentError):
                await runtime.create_token("ada", "read", end)
        assert list(await runtime.tokens()) == []
        await runtime.create_token("ada", "read")
        with pytest.raises(AccessTokenTaken):
            await runtime.create_token("ada", "read")
        with pytest.raises(AccessTokenNotFound):
            await runtime.revoke_token("bob")


async def test_no_store_has_a_token(tmp_path):
    """Nor what a browser has of it: whoever reads the store opens nothing."""
    async with Runtime(PIPELINE, store=f"file://{tmp_path}") as runtime:
        token = await runtime.create_token("ada", "read")
        session = await runtime.log_in(token)
        assert token not in repr(await runtime.tokens())
    async with Runtime(PIPELINE, store=f"file://{tmp_path}") as runtime:
        assert (await runtime.identify(token)).name == (await runtime.identify(session)).name == "ada"
    journal = (tmp_path / "journal.jsonl").read_text()
    assert '"ada"' in journal
    assert token[4:] not in journal
    assert session[4:] not in journal


async def test_a_stream_ends_soon_after_its_token_was_revoked(visit, monkeypatch):
    """A page that is open shows nothing of what happens afterwards."""
    monkeypatch.setattr("flowstone.server.access.streams.LOOKS_EVERY", 0.01)
    async with visit(PIPELINE) as visitor:
        token = await visitor.runtime.create_token("ada", "read")
        told: asyncio.Queue[dict] = asyncio.Queue()
        stream = asyncio.create_task(
            visitor.app(scope_of("/live/", bearer(token)), asyncio.Event().wait, told.put)
        )
        assert (await told.get())["status"] == 200
        assert b"hx-partial" in (await told.get())["body"]
        await visitor.runtime.revoke_token("ada")
        async with asyncio.timeout(30):
            await stream
        last = [told.get_nowait() for _ in range(told.qsize())][-1]
        assert last == {"type": "http.response.body", "body": b"", "more_body": False}


def scope_of(path, headers):
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"10.0.0.1:8150")]
        + [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("10.0.0.7", 50_000),
        "server": ("10.0.0.1", 8150),
    }


async def test_what_fails_in_a_route_is_raised_as_it_was(visit):
    """Whoever serves the application logs the error, and no group of it."""
    async with visit(PIPELINE) as visitor:

        @visitor.app.get("/breaks")
        async def breaks(_: Reader) -> None:
            raise OSError("broken")

        with pytest.raises(OSError, match="broken"):
            await visitor.get("/breaks")
