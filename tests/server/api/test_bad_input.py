"""Whatever is wrong with a request is said in one sentence, as a problem."""

from __future__ import annotations

import re

import pytest
from openapi_spec_validator import validate

from flowstone.errors import StoreUnavailable
from flowstone.store.protocol import StoreRefused
from flowstone.wire.approvals import ApprovalsQuery
from flowstone.wire.assets import AssetsQuery, CurrentQuery, HistoryQuery, PartitionsQuery, RecentQuery
from flowstone.wire.audit import AuditQuery
from flowstone.wire.automations import AutomationsQuery
from flowstone.wire.events import RunEventsQuery
from flowstone.wire.items import ItemsQuery
from flowstone.wire.lineage import LineageQuery
from flowstone.wire.nodes import NodesQuery
from flowstone.wire.paging import Listed
from flowstone.wire.plans import PlanQuery
from flowstone.wire.run_details import StepsQuery
from flowstone.wire.runs import RunsQuery
from flowstone.wire.waits import WaitsQuery
from tests.server.api.shops import shop
from tests.server.walk import routes_of


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limit=0", "`limit`: input should be greater than or equal to 1."),
        ("limit=1001", "`limit`: input should be less than or equal to 1000."),
        (
            "limit=" + "9" * 6_000,
            "`limit`: unable to parse input string as an integer, exceeded maximum size.",
        ),
        ("limit=ten", "`limit`: input should be a valid integer, unable to parse string as an integer."),
        ("limit=1&limit=2", "The parameter `limit` is given twice."),
        ("limt=1", "There is nothing called `limt` here. Did you mean 'limit'?"),
        ("asset=%ff", "The address is not UTF-8 once its percent signs are resolved."),
        ("asset=a%00b", "The address has a NUL in it, which is in no name and no text."),
        ("status=done", "`status.0`: input should be "),
        ("cursor=x", "This is no cursor."),
        ("cursor=W10", "This is no cursor."),
        ("cursor=bnVsbA", "This is no cursor."),
        ("tag=a=1&tag=a=2", "No run has two values of the label 'a'."),
    ],
)
async def test_a_parameter_that_cannot_be_read_is_refused(visit, query, sentence):
    """Never left out, and never a failure of the server."""
    async with visit(shop()) as visitor:
        refused = await visitor.get(f"/api/v1/runs?{query}")
        assert (refused.status_code, refused.json()["type"]) == (422, "ArgumentError")
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"].startswith(sentence)


async def test_the_newest_lines_of_a_log_are_not_asked_for_without_bound(visit):
    """They are in memory together."""
    async with visit(shop()) as visitor:
        run = await visitor.runtime.submit("visits", partition="2025-01-03")
        await run.wait()
        path = f"/api/v1/runs/{run.id}/logs"
        assert (await visitor.get(f"{path}?tail=10000")).status_code == 200
        refused = await visitor.get(f"{path}?tail=10001")
        assert refused.status_code == 422
        assert refused.json()["detail"] == "`tail`: input should be less than or equal to 10000."


async def test_a_cursor_is_of_one_list(visit):
    """Another list, or other filters, refuse it."""
    async with visit(shop()) as visitor:
        cursor = (await visitor.get("/api/v1/assets?limit=1")).json()["next"]
        for path in ("/api/v1/runs", "/api/v1/assets/visits/partitions"):
            refused = await visitor.get(path, params={"cursor": cursor})
            assert refused.json()["detail"] == "This is the cursor of another list, or of other filters."
        path = "/api/v1/assets/visits/partitions"
        cursor = (await visitor.get(path, params={"limit": 1})).json()["next"]
        assert (await visitor.get(path, params={"cursor": cursor, "status": "never"})).status_code == 422
        assert (await visitor.get(path, params={"cursor": cursor, "limit": 7})).status_code == 200


async def test_a_path_that_cannot_be_read_is_refused(visit):
    """As a parameter is."""
    async with visit(shop()) as visitor:
        for path in ("/api/v1/assets/%ff", "/api/v1/assets/a%00", "/api/v1/runs/%00"):
            assert (await visitor.get(path)).json()["type"] == "ArgumentError"


async def test_an_address_that_is_none_is_a_problem(visit):
    """And a method that it does not take says which it does."""
    async with visit(shop()) as visitor:
        nothing = await visitor.get("/api/v1/nothing")
        assert (nothing.status_code, nothing.json()["type"]) == (404, "NotFound")
        for method in ("HEAD", "OPTIONS", "PATCH", "DELETE"):
            refused = await visitor.client.request(method, "/api/v1/runs")
            assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
            assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b"", b"null", b"3", b'"a"'])
async def test_a_body_that_cannot_be_read_is_refused(visit, body):
    """However it is broken."""
    async with visit(shop()) as visitor:
        refused = await visitor.post(
            "/api/v1/runs", content=body, headers={"Content-Type": "application/json"}
        )
        assert refused.status_code in (400, 422)
        assert refused.headers["content-type"] == "application/problem+json"


async def test_the_description_is_valid(visit):
    """And complete: a summary for each route, answers that are problems, somebody who may ask."""
    async with visit(shop()) as visitor:
        described = (await visitor.get("/api/v1/openapi.json")).json()
        validate(described)
        for path, operations in described["paths"].items():
            if not path.startswith("/api/"):
                continue
            for operation in operations.values():
                assert operation["summary"]
                assert {"401", "403", "422", "503"} <= set(operation["responses"])
                assert "HTTPValidationError" not in str(operation)
        for name, model in described["components"]["schemas"].items():
            for field, shape in model.get("properties", {}).items():
                assert shape.get("description"), f"{name}.{field} does not say what it is"


PLACES = (
    None,
    1,
    -1,
    10**30,
    1.5,
    "x",
    "",
    "\x00",
    "\ud800",
    [],
    [1],
    [1, 2, 3],
    {},
    {"a": 1},
    True,
    [None, None],
)
MORE_PLACES = (
    ["a", None],
    [[], {}],
    [10**30, "x"],
    [-5, "x"],
    ["0", "x"],
    [1.5, "x"],
    [5, 13],
    ["\x00", "\x00"],
)
LISTS = (
    ("runs", RunsQuery, "runs", {}),
    ("runs/{run}/steps", StepsQuery, "steps of {run}", {}),
    ("runs/{run}/events", RunEventsQuery, "events of {run}", {}),
    ("runs/{run}/items", ItemsQuery, "items of {run}", {"asset": "report"}),
    ("assets", AssetsQuery, "assets", {}),
    ("assets/visits/current", CurrentQuery, "current of visits", {}),
    ("assets/visits/recent", RecentQuery, "recent of visits", {}),
    ("partition-sets/regions", Listed, "keys of regions", {}),
    ("waits", WaitsQuery, "waits", {}),
    ("assets/visits/partitions", PartitionsQuery, "partitions of visits", {}),
    ("assets/visits/history", HistoryQuery, "history of visits", {}),
    ("plan", PlanQuery, "plan", {"asset": "report"}),
    ("lineage", LineageQuery, "lineage", {"asset": "report"}),
    ("approvals", ApprovalsQuery, "approvals", {}),
    ("audit", AuditQuery, "audit", {}),
    ("automations", AutomationsQuery, "automations", {}),
    ("nodes", NodesQuery, "nodes", {}),
    ("pools", Listed, "pools", {}),
)


async def test_a_cursor_that_somebody_made_is_refused(visit, store_url):
    """Of the right list, with a place that is none: no list fails for it, or begins where there is nothing."""
    async with visit(shop(), store=store_url) as visitor:
        run = await visitor.runtime.submit("report", upstream=True)
        for path, query, name, filters in LISTS:
            listed = query(**filters)
            own = None
            if path == "plan":
                own = (await visitor.runtime.plan("report")).digest
            for place in (*PLACES, *MORE_PLACES, [-5, own], [10**30, own], [1.5, own]):
                cursor = listed._cursor(name.format(run=run.id), place)
                address = f"/api/v1/{path.format(run=run.id)}"
                answer = await visitor.get(address, params={"limit": 1, "cursor": cursor, **filters})
                assert answer.status_code in {200, 404, 422}, (path, place, answer.text)
                if not (place is None or place in ("x", "") or isinstance(place, list | int)):
                    assert answer.json()["type"] == "ArgumentError", (path, place)
        for place in ([-5, own], [10**30, own], [1.5, own]):
            cursor = PlanQuery(asset="report")._cursor("plan", place)
            answer = await visitor.get("/api/v1/plan", params={"asset": "report", "cursor": cursor})
            assert answer.json()["detail"] == "This is no cursor of this list."
        await run.cancel()


async def test_no_address_with_a_nul_reaches_the_store(visit, store_url):
    """Neither of the API nor of a page, nor of the stream of one; and no answer says where the store is."""
    async with visit(shop(), store=store_url) as visitor:
        paths = {path for method, path in routes_of(visitor.app) if method == "GET" and path != "/static"}
        assert "/runs/{run_id}" in paths
        for path in paths:
            asked = [re.sub(r"\{[^}]*\}", "%00", path)] if "{" in path else []
            asked.append(re.sub(r"\{[^}]*\}", "x", path) + "?before=%00&tag=%00&step=%00&asset=%00&q=%00")
            for address in asked:
                answer = await visitor.get(address)
                assert answer.status_code == 422, address
                assert "postgres" not in answer.text


async def test_a_form_with_a_nul_is_refused(visit, store_url):
    """As an address is."""
    async with visit(shop(), store=store_url) as visitor:
        for path in ("/launch", "/runs/x/cancel", "/login"):
            form = {"asset": "visits", "partitions": "\x00", "token": "\x00"}
            refused = await visitor.post(path, data=form, headers={"Sec-Fetch-Site": "same-origin"})
            assert (refused.status_code, refused.json()["type"]) == (400, "BadRequest")


@pytest.mark.parametrize(("error", "status"), [(StoreUnavailable, 503), (StoreRefused, 500)])
async def test_nobody_who_asks_is_told_where_the_store_is(visit, monkeypatch, caplog, error, status):
    """The log says it. What the store refuses for good is not to be asked again."""

    async def runs(*_, **__):
        raise error("postgres://ada@db.internal/shop does not do this")

    async with visit(shop()) as visitor:
        monkeypatch.setattr(type(visitor.runtime), "runs", runs)
        for path in ("/api/v1/runs", "/runs", "/live/runs"):
            caplog.clear()
            answer = await visitor.get(path, headers={"Accept": "text/html"})
            assert answer.status_code == status
            assert "db.internal" not in answer.text
            assert "db.internal" in caplog.text
