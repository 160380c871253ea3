"""What no request passes, whoever asks: another name, another origin, too much to read."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from flowstone import Pipeline
from flowstone.server import ServerOptions
from flowstone.server.access.hosts import may_be_addressed, name_of
from flowstone.server.access.prefix import below_prefix

PIPELINE = Pipeline("empty")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "localhost:8150:80",
        "[::1",
        "localhost/",
        "lo calhost",
        "",
    ],
)
async def test_another_name_is_refused(visit, host):
    """A page whose name was made to lead here after it was loaded (DNS rebinding)."""
    async with visit(PIPELINE) as visitor:
        refused = await visitor.get("/api/v1/assets", headers={"Host": host})
        assert (refused.status_code, refused.json()["type"]) == (400, "HostRefused")
        assert "evil" not in refused.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8150", "127.0.0.1:1", "127.8.9.1", "[::1]:8150"])
async def test_the_names_of_this_machine_are_answered(visit, host):
    """Whatever the port, which a tunnel may have changed."""
    async with visit(PIPELINE) as visitor:
        assert (await visitor.get("/api/v1/assets", headers={"Host": host})).status_code == 200


def test_who_may_be_addressed_how():
    """By what was allowed, and by the very address at which it came in: no other name leads there."""
    assert may_be_addressed(["flow.example.com:443"], ["Flow.example.com"], None)
    assert not may_be_addressed(["a.flow.example.com"], ["flow.example.com"], None)
    assert may_be_addressed(["10.0.0.1:8150"], [], "10.0.0.1")
    assert may_be_addressed(["10.0.0.1"], [], "::ffff:10.0.0.1")
    assert not may_be_addressed(["10.0.0.2"], [], "10.0.0.1")
    assert may_be_addressed(["[2001:db8::1]:8150"], [], "2001:db8:0::1")
    assert may_be_addressed(["anything.example"], ["*"], None)
    assert not may_be_addressed(["localhost", "evil.example"], ["*"], None)
    assert not may_be_addressed([], ["*"], None)


def test_a_name_is_read_strictly():
    """What is no name is none, rather than something that another reader takes for one."""
    assert name_of("[::1]:80") == "::1"
    assert name_of("a.example:80") == "a.example"
    for wrong in ("a b", "a\tb", "a:b", "-a", "a@b", "http://a", "a,b", "[a", "a]", "a:123456", "a" * 300):
        assert name_of(wrong) is None


CHANGING = "/api/v1/nothing"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9000"},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
async def test_a_page_of_another_origin_changes_nothing(visit, headers):
    """Nor on the loopback, where nobody logs in: this is what keeps pages of others from using it."""
    async with visit(PIPELINE) as visitor:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = await visitor.client.request(method, CHANGING, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (403, "OriginRefused")


async def test_a_page_of_another_origin_is_handed_no_parts(visit):
    """It may lead to a page; it may not load one as if it were a picture or a script."""
    async with visit(PIPELINE) as visitor:
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert (await visitor.get("/", headers=foreign | {"Sec-Fetch-Mode": "navigate"})).status_code == 200
        assert (await visitor.get("/", headers=foreign | {"Sec-Fetch-Mode": "no-cors"})).status_code == 403


async def test_no_more_is_read_than_allowed(visit):
    """Refused by its length before a byte of it, else as soon as it is too long."""
    sent = 0

    async def chunks():
        nonlocal sent
        for _ in range(1_000):
            sent += 1
            yield b"x" * 100

    async with visit(PIPELINE, options=ServerOptions(largest_body=1_000)) as visitor:

        @visitor.app.post("/read")
        async def read(value: dict[str, str]) -> dict[str, str]:
            return value

        form = {"Content-Type": "application/json"}
        assert (await visitor.post("/read", content=b'{"a": "b"}', headers=form)).status_code == 200
        long = await visitor.post("/read", content=b"x" * 1_001, headers=form)
        assert (long.status_code, long.json()["type"]) == (413, "ContentTooLarge")
        lying = await visitor.post("/read", content=b"{}", headers=form | {"Content-Length": "-1"})
        assert lying.status_code == 413
        chunked = await visitor.post("/read", content=chunks(), headers=form)
        assert (chunked.status_code, sent < 20) == (413, True)


@pytest.mark.parametrize(
    "prefix",
    ["//evil.example", "/..", "/a/../b", "/a b", "https://evil.example", '/a"b', f"/{'a' * 101}", "a"],
)
def test_what_is_no_path_is_no_prefix(prefix):
    """Links never lead elsewhere."""
    scope = {"path": "/runs", "root_path": "/flow"}
    assert below_prefix(scope, Headers({"X-Forwarded-Prefix": prefix})) == scope


def test_links_lead_below_the_prefix_of_a_proxy():
    """Also where it is mounted below a path of somebody else."""
    scope = {"path": "/flow/runs", "root_path": "/flow"}
    found = below_prefix(scope, Headers({"X-Forwarded-Prefix": "/ext.1/b/"}))
    assert found == {"path": "/ext.1/b/flow/runs", "root_path": "/ext.1/b/flow"}
