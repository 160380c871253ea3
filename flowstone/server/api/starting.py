"""`POST /api/v1/runs`: one asset at one partition, or many partitions of it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Response
from starlette.requests import Request

from flowstone.assets.partition_labels import partition_argument
from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies
from flowstone.runtime.client.handle import Run
from flowstone.runtime.client.preview import free_keys
from flowstone.runtime.runtime import Runtime
from flowstone.server.access.guard import Operator
from flowstone.server.access.identity import Identity
from flowstone.server.api.reading import PLAIN, Served
from flowstone.server.api.responses import problems
from flowstone.wire.runs import RunModel
from flowstone.wire.starting import StartModel

__all__ = ["ONCE", "add_starting", "owned_key"]

_MOST_PARTITIONS = 100_000
_MOST = 2**31 - 1


_EXAMPLES: dict[str, Any] = {
    "one partition": {"value": {"asset": "report", "partition": "2025-01-15"}},
    "a range": {"value": {"asset": "visits", "start": "2025-01-01", "end": "2025-01-31"}},
    "a selection": {
        "value": {"asset": "visits", "partitions": ["2025-01-03", "2025-01-17"], "refresh": "all"}
    },
    "with config": {
        "value": {"asset": "report", "config": {"threshold": 5}, "tags": {"why": "a new threshold"}}
    },
}


ONCE = (
    "A text of your own: the same request with it again is given the same run, as long as that is remembered; "
    "another request is refused."
)


def add_starting(routes: APIRouter) -> None:
    """Add the route."""

    @routes.post(
        "",
        summary="Start a run",
        description="201 if it was started; 200 if there was one already, by its `key`, with `join`, or by the "
        "`Idempotency-Key`.",
        status_code=201,
        responses=problems(404, 409) | {200: {"model": RunModel, "description": "There was one already."}},
        dependencies=PLAIN,
    )
    async def start(
        request: Request,
        response: Response,
        runtime: Served,
        identity: Operator,
        body: Annotated[StartModel, Body(openapi_examples=_EXAMPLES)],
        idempotency_key: Annotated[
            str | None, Header(description=ONCE, min_length=1, max_length=1_000)
        ] = None,
    ) -> RunModel:
        run = await _submitted(runtime, body, identity, owned_key(identity, idempotency_key))
        response.status_code = 201 if run.submitted else 200
        response.headers["Location"] = f"{request.url.path.rstrip('/')}/{run.id}"
        record = await run.record()
        return RunModel.of(record).model_copy(update={"notes": free_keys(runtime.graph, record.request)})


def owned_key(identity: Identity, key: str | None) -> str | None:
    """A key of one who asks is no key of another one."""
    return None if key is None else hashlib.sha256(f"{identity.name}\0{key}".encode()).hexdigest()


async def _submitted(runtime: Runtime, asked: StartModel, identity: Identity, once: str | None) -> Run:
    backfills = asked.partitions is not None or asked.start is not None or asked.end is not None
    kind = asked.kind or ("backfill" if backfills else "materialize")
    common: dict[str, Any] = {
        "config": asked.config,
        "tags": asked.tags,
        "key": asked.key,
        "priority": asked.priority,
        "once": once,
        "by": identity.acting_for(asked.by),
    }
    if kind == "materialize":
        _refuse(asked, "materialize", ("partitions", "start", "end"))
        return await runtime.submit(
            asked.asset,
            partition=partition_argument(asked.partition),
            upstream=asked.upstream is not False,
            refresh=asked.refresh or "all",
            max_parallel=asked.max_parallel,
            timeout=asked.timeout,
            join=asked.join,
            **common,
        )
    _refuse(asked, "backfill", ("partition", "timeout", "join"))
    partitions = None if asked.partitions is None else [partition_argument(each) for each in asked.partitions]
    return await runtime.submit_backfill(
        asked.asset,
        partitions=partitions,
        start=partition_argument(asked.start),
        end=partition_argument(asked.end),
        upstream=bool(asked.upstream),
        refresh=asked.refresh or "missing",
        max_parallel=asked.max_parallel if "max_parallel" in asked.model_fields_set else 4,
        **common,
    )


def _refuse(asked: StartModel, kind: str, foreign: tuple[str, ...]) -> None:
    """Refuse what would be left out."""
    for name in foreign:
        if getattr(asked, name) != StartModel.model_fields[name].default:
            other = "backfill" if kind == "materialize" else "materialize"
            raise ArgumentError(
                f"`{name}` is of no use to {kind}.",
                remedies=Remedies(http=f'Leave it out, or say `"kind": "{other}"`.'),
            )
