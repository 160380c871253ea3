"""A browser logs in: a token becomes a cookie, and nobody else's page takes part in it."""

from __future__ import annotations

import re

import pytest

from flowstone import Pipeline
from flowstone.server import ServerOptions
from flowstone.server.access.attempts import OF_ALL, OF_ONE, WITHIN, Attempts
from flowstone.server.access.guard import Operator

PIPELINE = Pipeline("empty")
ELSEWHERE = {"host": "10.0.0.7", "base": "http://10.0.0.1:8150"}
OWN = {"Origin": "http://10.0.0.1:8150"}


def word_of(page):
    """The word for changes that a page carries, in its head or in a form."""
    return re.search(r'name="csrf" (?:content|value)="([0-9a-f]*)"', page.text)[1]


async def log_in(visitor, token, then="/", headers=OWN):
    page = await visitor.get(f"/login?next={then}")
    form = {"token": token, "csrf": word_of(page), "next": then}
    return await visitor.post("/login", data=form, headers=headers)


async def test_a_page_leads_to_the_login_and_back(visit):
    """What the API and streams answer is an error, for a program or a script to read."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        token = await visitor.runtime.create_token("ada", "operate")
        led = await visitor.get("/?a=1&b=%2F")
        assert (led.status_code, led.headers["location"]) == (303, "/login?next=/%3Fa%3D1%26b%3D%252F")
        for path in ("/api/v1/assets", "/live/"):
            assert (await visitor.get(path)).status_code == 401
        assert (await visitor.get("/", headers={"HX-Request": "true"})).status_code == 401
        login = await visitor.get(led.headers["location"])
        form = {"token": f" {token} ", "csrf": word_of(login), "next": "/?a=1&b=%2F"}
        back = await visitor.post("/login", data=form, headers=OWN)
        assert (back.status_code, back.headers["location"]) == (303, "/?a=1&b=%2F")
        assert re.fullmatch(
            r"flowstone_session_8150=fss_[\w-]{43}; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax",
            back.headers["set-cookie"],
        )
        page = await visitor.get("/")
        assert (page.status_code, ">ada<" in page.text) == (200, True)


async def test_a_session_changes_things_with_the_word_of_its_page_alone(visit):
    """Another session's word is worth nothing, nor that of before the login."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:

        @visitor.app.post("/change")
        async def change(identity: Operator) -> str:
            return identity.name

        before = word_of(await visitor.get("/login"))
        await log_in(visitor, await visitor.runtime.create_token("ada", "operate"))
        word = word_of(await visitor.get("/"))
        assert (await visitor.post("/change", headers={"X-CSRF-Token": word})).json() == "ada"
        for headers in ({}, OWN, {"X-CSRF-Token": before}, {"X-CSRF-Token": word + "0"}):
            assert (await visitor.post("/change", headers=headers)).status_code == 403
        foreign = {"X-CSRF-Token": word, "Origin": "http://10.0.0.1:9000"}
        assert (await visitor.post("/change", headers=foreign)).status_code == 403


async def test_nobody_is_logged_in_by_a_page_of_somebody_else(visit):
    """As whom they do not know: neither from another origin, nor without the word of the login page."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        token = await visitor.runtime.create_token("eve", "operate")
        word = word_of(await visitor.get("/login"))
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            refused = await visitor.post("/login", data={"token": token, "csrf": word}, headers=headers)
            assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
        assert (await visitor.post("/login", data={"token": token}, headers=OWN)).status_code == 403
        visitor.client.cookies.clear()
        without = await visitor.post("/login", data={"token": token, "csrf": word}, headers=OWN)
        assert without.status_code == 403


@pytest.mark.parametrize(
    "then",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: a=b",
        "/a\tb",
        "/login?next=/login",
        "",
        "evil.example",
        "/" + "a" * 3_000,
    ],
)
async def test_one_is_led_to_pages_of_the_server_alone(visit, then):
    """Whatever a link to the login page says."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        token = await visitor.runtime.create_token("ada", "read")
        word = word_of(await visitor.get("/login"))
        back = await visitor.post("/login", data={"token": token, "csrf": word, "next": then}, headers=OWN)
        assert (back.status_code, back.headers["location"]) == (303, "/")


async def test_what_is_no_token_logs_nobody_in(visit):
    """The page says so, and does not repeat it."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        refused = await log_in(visitor, "<script>alert(1)</script>")
        assert (refused.status_code, "alert(1)" in refused.text) == (401, False)
        assert "no token" in refused.text
        assert "session" not in str(refused.headers.get("set-cookie"))


async def test_a_session_ends_with_logging_out_and_with_its_token(visit):
    """For whoever has kept the cookie, too."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        token = await visitor.runtime.create_token("ada", "read")
        await log_in(visitor, token)
        session = visitor.client.cookies["flowstone_session_8150"]
        assert (await visitor.post("/logout", headers=OWN)).status_code == 403
        word = word_of(await visitor.get("/"))
        out = await visitor.post("/logout", data={"csrf": word}, headers=OWN)
        assert (out.status_code, out.headers["location"]) == (303, "/login")
        assert out.headers["set-cookie"].startswith("flowstone_session_8150=; Path=/; Max-Age=0;")
        visitor.client.cookies.set("flowstone_session_8150", session)
        assert (await visitor.get("/")).status_code == 303
        visitor.client.cookies.clear()
        await log_in(visitor, token)
        assert (await visitor.get("/")).status_code == 200
        await visitor.runtime.revoke_token("ada")
        assert (await visitor.get("/")).status_code == 303
        assert (await visitor.get("/api/v1/assets")).status_code == 401


async def test_a_session_is_one_of_all_servers_of_the_store(visit, tmp_path):
    """Any of them knows it, and its pages' words."""
    from flowstone.server import create_app

    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        await log_in(visitor, await visitor.runtime.create_token("ada", "operate"))
        word = word_of(await visitor.get("/"))
        visitor.client._transport.app = create_app(visitor.runtime)
        out = await visitor.post("/logout", data={"csrf": word}, headers=OWN)
        assert out.status_code == 303


async def test_a_cookie_is_for_secure_connections_and_for_one_place(visit):
    """Under https, here or at the proxy; below a path, for that path."""
    allowed = {"options": ServerOptions(allowed_hosts=("flow.example.com",))}
    async with visit(PIPELINE, host="10.0.0.7", base="https://flow.example.com", **allowed) as visitor:
        direct = (await visitor.get("/login")).headers["set-cookie"]
        assert re.fullmatch(
            r"__Host-flowstone_visitor=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Secure", direct
        )
    async with visit(PIPELINE, host="127.0.0.1", base="http://flow.example.com", **allowed) as visitor:
        proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/flow"}
        login = await visitor.get("/login", headers=proxied)
        assert re.fullmatch(
            r"__Secure-flowstone_visitor=[\w-]{43}; Path=/flow; HttpOnly; SameSite=Lax; Secure",
            login.headers["set-cookie"],
        )
        assert 'action="/flow/login"' in login.text
        led = await visitor.get("/", headers=proxied)
        assert led.headers["location"] == "/flow/login?next=/"


async def test_links_lead_below_the_prefix_of_a_proxy(visit):
    """Also where it is mounted below a path of somebody else."""
    from fastapi import FastAPI

    async with visit(PIPELINE) as visitor:
        token = await visitor.runtime.create_token("ada", "read")
        outer = FastAPI()
        outer.mount("/flow", visitor.runtime.ui())
        headers = {"X-Forwarded-Prefix": "/ext/", "Authorization": f"Bearer {token}"}
        for app, path, below in ((visitor.app, "/", "/ext"), (outer, "/flow/", "/ext/flow")):
            visitor.client._transport.app = app
            page = await visitor.get(path, headers=headers)
            assert page.status_code == 200
            found = [part.partition('"')[0] for part in page.text.split('href="')[1:]]
            assert [each for each in found if not each.startswith((f"{below}/", "#"))] == []
            assert f'hx-sse:connect="{below}/live/"' in page.text


async def test_who_tries_too_often_waits(visit):
    """Right or wrong: the page says how long."""
    now = 0.0
    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        visitor.app.state.attempts = Attempts(lambda: now)
        token = await visitor.runtime.create_token("ada", "read")
        for _ in range(OF_ONE):
            assert (await log_in(visitor, "wrong")).status_code == 401
        refused = await log_in(visitor, token)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
        assert "Wait 60 seconds" in refused.text
        now = WITHIN
        assert (await log_in(visitor, token)).status_code == 303


def test_failures_are_counted_of_each_address_and_of_all():
    """However many addresses somebody has, what is remembered is bounded, and no other address is to wait."""
    now = 0.0
    attempts = Attempts(lambda: now)
    for _ in range(OF_ONE):
        assert attempts.wait("a") == 0
        assert attempts.failed("a") == 0
    assert (attempts.wait("a"), attempts.wait("b")) == (60, 0)
    for number in range(OF_ALL - OF_ONE):
        assert attempts.failed(f"n{number}") == 0
    for number in range(20 * OF_ALL):
        assert attempts.failed(f"m{number}") == 60
        assert attempts.wait("b") == 0
    assert len(attempts) == 10 * OF_ALL
    now = 59.5
    assert attempts.failed("b") == 1
    now = 60.0
    assert (attempts.wait("a"), len(attempts)) == (0, 1)


async def test_nobody_is_kept_out_by_others_who_fail(visit):
    """Who makes up addresses is refused in the end; who has a token is let in meanwhile, as often as they like."""
    async with visit(PIPELINE, **ELSEWHERE) as visitor:
        visitor.app.state.attempts = Attempts(lambda: 0.0)
        token = await visitor.runtime.create_token("ada", "read")
        answers = [
            await log_in(visitor, "wrong", headers={**OWN, "X-Forwarded-For": f"10.1.0.{number}"})
            for number in range(OF_ALL + 2)
        ]
        assert [answer.status_code for answer in answers] == [401] * OF_ALL + [429] * 2
        for _ in range(OF_ONE + 1):
            assert (await log_in(visitor, token)).status_code == 303
