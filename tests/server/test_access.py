"""Who may look, and from where."""

from __future__ import annotations

import pytest

from flowstone import Pipeline
from flowstone.server import ServerOptions
from flowstone.server.access.roles import Role

PIPELINE = Pipeline("empty")


async def test_this_machine_needs_no_token(visit):
    """At an address of the loopback."""
    async with visit(PIPELINE) as visitor:
        assert (await visitor.get("/api/v1/assets")).json() == []


@pytest.mark.parametrize(
    "options",
    [
        {"host": "10.0.0.7"},
        {"base": "http://flow.example.com"},
        {"options": ServerOptions(open_on_loopback=False)},
    ],
    ids=["another machine", "another name", "closed"],
)
async def test_everybody_else_does(visit, options):
    """Also where somebody else's name leads to the loopback."""
    async with visit(PIPELINE, **options) as visitor:
        for path in ("/", "/live/", "/api/v1/assets"):
            refused = await visitor.get(path)
            assert refused.status_code in (400, 401)
            assert refused.headers["content-type"] == "application/problem+json"


async def test_what_a_proxy_passes_on_is_not_asked_by_this_machine(visit):
    """It says so in a header."""
    async with visit(PIPELINE) as visitor:
        refused = await visitor.get("/api/v1/assets", headers={"X-Forwarded-For": "203.0.113.9"})
        assert refused.status_code == 401
        assert refused.json()["type"] == "Unauthorized"


def test_roles_include_those_before_them():
    """Read, operate, admin."""
    assert [[role.may(needed) for needed in Role] for role in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


async def test_a_probe_may_ask(visit):
    """Without a token, from anywhere: that is what probes are for."""
    async with visit(PIPELINE, host="10.0.0.7", base="http://10.0.0.1:8150") as visitor:
        assert (await visitor.get("/healthz")).json() == {"status": "ok"}
        assert (await visitor.get("/readyz")).json() == {"status": "ok"}
