"""Assets that wait and do things once, in worker processes too; what they did is in a file each can append to."""

from __future__ import annotations

import os
from pathlib import Path

from flowstone import Context, Pipeline

pipeline = Pipeline("processes")


def did(what: str) -> None:
    """Note something where every process finds it."""
    with Path(os.environ["FLOWSTONE_TEST_DONE"]).open("a") as file:
        file.write(f"{what}\n")


def render(number: int) -> dict:
    """Something to be done once."""
    did("render")
    return {"url": f"s3://drafts/{number}", "pages": (1, 2)}


@pipeline.asset(run_in="process")
def published(context: Context) -> str:
    """Renders once, hands a token out, and waits for an approval and a signal."""
    did(f"attempt {context.attempt}")
    draft = context.once_sync("draft", render, 7)
    did(f"token {context.signal_token('bank')}")
    decision = context.approval("publish", message=draft["url"])
    payload = context.signal("bank")
    return f"{decision.by} {payload} {draft['pages']}"


@pipeline.asset(run_in="process")
async def awaited(context: Context) -> int:
    """An async asset in a process: the same by the call that is awaited."""
    return (await context.once("draft", render, 8))["pages"][1]


@pipeline.asset(run_in="process")
def refused(context: Context) -> int:
    """Its result is no JSON."""
    return context.once_sync("draft", object)
