"""`/api/v1/runs/{id}/logs`: what its attempts logged and printed, as JSON lines, as text, or as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from flowstone.assets.partition_labels import partition_argument, step_label
from flowstone.errors import FlowstoneError
from flowstone.printable import indented, printable
from flowstone.runs.log_line import LogLine
from flowstone.runtime.client.log_lines import LogLines
from flowstone.server.access.guard import Reader
from flowstone.server.api.path_parameters import RunId
from flowstone.server.api.reading import Served
from flowstone.server.api.responses import problems
from flowstone.server.api.streams import EVENT_STREAM, Stream, event_stream, last_number, message
from flowstone.wire.logs import LogLineModel, LogsQuery
from flowstone.wire.model import iso

__all__ = ["router"]

_LINES = "application/x-ndjson"
_TEXT = "text/plain"
_MOST = 2**31 - 1
_CHUNK = 64_000


_CONTENT: dict[str, Any] = {
    _LINES: {
        "schema": {"type": "string", "description": "One JSON object a line, as `LogLineModel`."},
        "example": '{"number":1,"at":"2025-01-15T06:00:01Z","level":"info","message":"counted","fields":{"n":3},'
        '"asset":"visits","partition":"2025-01-15","attempt":1}\n',
    },
    _TEXT: {
        "schema": {"type": "string"},
        "example": "2025-01-15T06:00:01Z info visits[2025-01-15] counted n=3\n",
    },
    EVENT_STREAM: {"schema": {"type": "string"}},
}


def router() -> APIRouter:
    """Its route."""
    routes = APIRouter(prefix="/runs/{run_id}", tags=["runs"])

    @routes.get(
        "/logs",
        summary="What its attempts logged and printed",
        description="JSON lines, or text where `Accept` says so; with `follow=true` server-sent events.",
        response_class=Response,
        responses=problems(404) | {200: {"description": "The lines.", "content": _CONTENT}},
    )
    async def logs(
        request: Request,
        runtime: Served,
        _: Reader,
        run_id: RunId,
        query: Annotated[LogsQuery, Query()],
        last_event_id: Annotated[str | None, Header(description="The number of the last line.")] = None,
    ) -> Response:
        lines = await runtime.logs(
            run_id,
            query.asset,
            partition_argument(query.partition),
            follow=query.follow,
            after=query.after if last_event_id is None else last_number(last_event_id),
            limit=query.limit,
            tail=query.tail if last_event_id is None else None,
            level=query.level,
            contains=query.contains,
        )
        if query.follow:
            return event_stream(_followed(lines))
        wanted = request.headers.get("accept", "")
        if _TEXT in wanted and _LINES not in wanted:
            return Stream(_chunks(lines, _as_text), media_type=f"{_TEXT}; charset=utf-8")
        return Stream(_chunks(lines, _as_json), media_type=_LINES)

    return routes


async def _followed(lines: LogLines) -> AsyncGenerator[bytes, None]:
    try:
        async for line in lines:
            yield message(line.number, _as_json(line).rstrip("\n"))
    except FlowstoneError as error:
        # It has begun, so its status is said: whoever follows comes back, and is told by that.
        yield f"event: problem\ndata: {type(error).__name__}\n\n".encode()
        return
    yield b"event: end\ndata: \n\n"


async def _chunks(lines: LogLines, write: Callable[[LogLine], str]) -> AsyncGenerator[bytes, None]:
    """Lines together, as many as are worth a write."""
    kept: list[str] = []
    size = 0
    async for line in lines:
        text = write(line)
        kept.append(text)
        size += len(text)
        if size > _CHUNK:
            yield "".join(kept).encode(errors="replace")
            kept, size = [], 0
    yield "".join(kept).encode(errors="replace")


def _as_json(line: LogLine) -> str:
    return LogLineModel.of(line).model_dump_json() + "\n"


def _as_text(line: LogLine) -> str:
    """For terminals, which nothing in it can drive."""
    fields = "".join(f" {name}={value}" for name, value in line.fields.items())
    said = indented(printable(f"{line.message}{fields}"))
    return f"{iso(line.at)} {line.level} {step_label(line.asset, line.partition_key)} {said}\n"
