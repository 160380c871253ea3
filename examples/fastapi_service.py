"""FlowStone inside a service: `uv run --with uvicorn uvicorn --app-dir examples fastapi_service:app`.

One runtime lives as long as the application. A handler awaits `runtime.materialize()` on the server's own
event loop; the work stops when the client hangs up; each error has its HTTP status.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import date
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from flowstone import (
    AssetNotFound,
    Context,
    DailyPartitions,
    DependencyNotReady,
    FlowstoneError,
    MaterializationFailed,
    PartitionError,
    Permanent,
    Pipeline,
    Runtime,
    RuntimeStopping,
    ValueNotFound,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pipeline = Pipeline("sales")
DAYS = DailyPartitions("2025-01-01", "2025-12-31")

STATUSES: list[tuple[type[Exception], int]] = [
    (AssetNotFound, 404),
    (ValueNotFound, 404),
    (PartitionError, 422),
    (DependencyNotReady, 409),
    (MaterializationFailed, 502),
    (RuntimeStopping, 503),
    (TimeoutError, 504),
]


@pipeline.asset(partitions=DAYS)
async def orders(context: Context) -> list[int]:
    """A day's orders; a real one would ask a shop. Sundays are closed."""
    if context.partition.isoweekday() == 7:
        raise Permanent("the shop is closed on Sundays")
    await asyncio.sleep(0.01)
    return [context.partition.day * price for price in (3, 5, 8)]


@pipeline.asset(partitions=DAYS)
def revenue(orders: list[int]) -> int:
    """A day's revenue."""
    return sum(orders)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Leaving drains: new requests get 503, running ones finish."""
    # To be durable, say store="embedded://.flowstone/pg" here, or store="postgresql://…"; nothing else changes.
    async with Runtime(pipeline) as runtime:
        app.state.runtime = runtime
        yield


app = FastAPI(title="Sales", lifespan=lifespan)


@app.exception_handler(FlowstoneError)
@app.exception_handler(TimeoutError)
async def explain(_: Request, error: Exception) -> JSONResponse:
    """Every error of FlowStone is one clear sentence; only its status is decided here."""
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
    return JSONResponse({"error": type(error).__name__, "detail": str(error)}, status)


@asynccontextmanager
async def stops_with(request: Request) -> AsyncIterator[None]:
    """Cancel the body when the client hangs up; a server only sends a message and leaves handlers running."""
    handler = asyncio.current_task()
    gone = asyncio.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()
        handler.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone.is_set():
            raise
        handler.uncancel()
        raise HTTPException(499, "The client closed the request.") from None
    finally:
        watcher.cancel()


@app.post("/{asset}/{day}")
async def compute(asset: str, day: date, request: Request) -> dict[str, object]:
    """Compute one asset for one day; its upstream must be there."""
    async with stops_with(request):
        record = await request.app.state.runtime.materialize(asset, partition=day, timeout=10)
    return {"asset": record.asset, "day": day, "seconds": record.duration, "run": record.run_id}


@app.get("/{asset}/{day}")
async def read(asset: str, day: date, request: Request) -> object:
    """The current value."""
    return await request.app.state.runtime.load(asset, partition=day)
