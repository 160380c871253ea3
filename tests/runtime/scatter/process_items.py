"""Items for worker processes, which import their function from here."""

from __future__ import annotations

import os
import signal

from flowstone import Each, Pipeline, Skip

__all__ = ["pipeline"]

pipeline = Pipeline("process items")


@pipeline.asset
def files() -> list[str]:
    """What to do."""
    return ["value", "raise", "skip", "kill", "last"]


@pipeline.asset(run_in="process", each=Each("files", max_parallel=2, tolerate=2))
def page(files: str) -> list[object]:
    """Does what it is told to."""
    if files == "raise":
        raise ValueError("no")
    if files == "skip":
        raise Skip("nothing here")
    if files == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return [files, os.getpid()]
