"""A report that somebody approves by HTTP.

    uv run --with uvicorn uvicorn --app-dir examples publish_with_approval:app
    curl -X POST localhost:8000/reports/2025-01-15
    curl localhost:8000/approvals
    curl -X POST localhost:8000/approvals/ID/approve -H 'content-type: application/json' -d '{"by": "ada"}'
    curl localhost:8000/reports/2025-01-15

The step renders a draft, once, and waits for an approval. It holds nothing meanwhile, and outlives the service.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from flowstone import Context, DailyPartitions, FileIO, Pipeline, Runtime
from flowstone.errors import AlreadyDecided, ApprovalNotFound, PartitionError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PLACE = Path(".flowstone/publish")

pipeline = Pipeline("publish")
DAYS = DailyPartitions("2025-01-01", "2025-12-31")


@pipeline.asset(partitions=DAYS)
async def report(context: Context) -> list[int]:
    """A day's numbers; a real one would ask a database."""
    return [context.partition.day * price for price in (3, 5, 8)]


def render(rows: list[int], name: str) -> str:
    """Write the draft; done once, however often the step that wants it runs."""
    draft = PLACE / "drafts" / f"{name}.txt"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text("\n".join(map(str, rows)))
    return str(draft)


@pipeline.asset(partitions=DAYS)
async def published(report: list[int], context: Context) -> dict[str, Any]:
    """Render a draft, wait until somebody approves it, publish it."""
    draft = await context.once("draft", render, report, str(context.partition))
    decision = context.approval(
        "publish", message=f"{len(report)} rows", data={"draft": draft}, timeout=7 * 86_400
    )
    return {"draft": draft, "by": decision.by, "total": sum(report)}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The runtime lives as long as the service; its runs and values are on disk, for the next one."""
    values = FileIO(PLACE / "values")
    async with Runtime(pipeline, store=f"file://{PLACE}", io={"default": values}) as app.state.runtime:
        yield


app = FastAPI(lifespan=lifespan)


STATUS = {AlreadyDecided: 409, ApprovalNotFound: 404, PartitionError: 404, ValueError: 422}
"""Somebody was faster, there is no such thing, or what was said cannot be kept."""


async def refused(_: Request, error: Exception) -> JSONResponse:
    """An error's own words say what to do."""
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    return JSONResponse({"error": str(error)}, status)


for kind in STATUS:
    app.add_exception_handler(kind, refused)


class Said(BaseModel):
    """Who decides, and why."""

    by: str = Field(min_length=1)
    reason: str | None = None


@app.post("/reports/{day}", status_code=202)
async def ask(day: str) -> dict[str, str]:
    """Start a report; it is started once while it waits."""
    run = await app.state.runtime.submit("published", partition=day, key=f"publish {day}")
    return {"run": run.id}


@app.get("/reports/{day}")
async def read(day: str) -> Any:
    """The published report."""
    status = await app.state.runtime.status("published", partition=day)
    if status != "succeeded":
        raise HTTPException(404, f"The report of {day} is {status}.")
    return await app.state.runtime.load("published", partition=day)


@app.get("/approvals")
async def approvals() -> list[dict[str, Any]]:
    """What waits for somebody."""
    return [asdict(approval) for approval in await app.state.runtime.approvals()]


@app.post("/approvals/{approval}/{verdict}")
async def decide(approval: str, verdict: str, said: Said) -> dict[str, Any]:
    """Approve or reject."""
    if verdict not in {"approve", "reject"}:
        raise HTTPException(404, "Say approve or reject.")
    call = app.state.runtime.approve if verdict == "approve" else app.state.runtime.reject
    return asdict(await call(approval, by=said.by, reason=said.reason))
