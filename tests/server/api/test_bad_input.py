"""Whatever is wrong with a request is said in one sentence, as a problem."""

from __future__ import annotations

import pytest
from openapi_spec_validator import validate

from tests.server.api.shops import shop


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
        ("tag=a&tag=b", "Of several labels each needs its value: `tag=name=value`."),
    ],
)
async def test_a_parameter_that_cannot_be_read_is_refused(visit, query, sentence):
    """Never left out, and never a failure of the server."""
    async with visit(shop()) as visitor:
        refused = await visitor.get(f"/api/v1/runs?{query}")
        assert (refused.status_code, refused.json()["type"]) == (422, "ArgumentError")
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["detail"].startswith(sentence)


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
