"""Whatever is asked that the description allows, or nearly so, the answer is one that it describes."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from flowstone import Context, Pipeline, Runtime
from flowstone.server import create_app
from tests.server.api.shops import shop

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ENDLESS = "/api/v1/events"


def full() -> Pipeline:
    """A pipeline of which every route has something to show."""
    pipeline = shop()
    pipeline.pool("warehouse", slots=4)
    pipeline.schedule("nightly", cron="0 6 * * *", asset="report")

    @pipeline.asset
    def paid(context: Context) -> str:
        return context.approval("pay", message="pay", timeout=3_600).by

    return pipeline


async def filled(runtime: Runtime) -> None:
    """Runs that succeeded, failed and wait, and a schedule that has fired."""
    await runtime.materialize_all("report")
    for asset in ("broken", "paid"):
        run = await runtime.submit(asset)
        async for event in run.events():
            if event.kind == "run.waiting":
                break
    await runtime.pause("nightly", by="ada")


async def ask(client: httpx2.AsyncClient, case: schemathesis.Case) -> schemathesis.Response:
    """Send a request, and have the answer as the checks take it."""
    import requests

    asked = requests.Request(**case.as_transport_kwargs(base_url="http://127.0.0.1:8150")).prepare()
    address = urlsplit(asked.url)
    headers = {name: value for name, value in asked.headers.items() if name.lower() != "content-length"}
    answer = await client.request(
        asked.method,
        f"{address.path}?{address.query}" if address.query else address.path,
        headers=headers,
        content=asked.body if isinstance(asked.body, bytes | None) else asked.body.encode(),
    )
    return schemathesis.Response(
        status_code=answer.status_code,
        headers={name: [value] for name, value in answer.headers.items()},
        content=answer.content,
        request=asked,
        elapsed=0.0,
        verify=False,
    )


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("where", ["memory", pytest.param("postgres", marks=pytest.mark.long)])
def test_any_request_is_answered_as_described(mode, where, request):
    """With what the description allows, and with what it does not; of a runtime that has something of all."""
    store = "memory://" if where == "memory" else request.getfixturevalue("database")
    with asyncio.Runner() as runner:
        runtime = runner.run(entered(Runtime(full(), store=store)))
        runner.run(filled(runtime))
        app = create_app(runtime)
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 50_000))
        client = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8150")
        described = app.openapi()
        validate(described)
        schema = schemathesis.openapi.from_dict(described)
        for found in schema.get_all_operations():
            operation = found.ok()
            if not operation.path.startswith("/api/v1") or operation.path == ENDLESS:
                continue

            @settings(
                max_examples=5,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def answered(case):
                response = runner.run(ask(client, case))
                case.validate_response(response, checks=CHECKS)

            with suppress(Unsatisfiable):  # Of what takes nothing, nothing can be wrong.
                answered()
        runner.run(client.aclose())
        runner.run(runtime.__aexit__(None, None, None))


async def entered(runtime: Runtime) -> Runtime:
    """The runtime, running."""
    return await runtime.__aenter__()
