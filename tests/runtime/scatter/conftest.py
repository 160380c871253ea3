"""Every store, with an IO manager that goes with it."""

from __future__ import annotations

import pytest

from flowstone import FileIO, MemoryIO, PostgresIO


@pytest.fixture(params=["memory", "memory and files", "file", "postgres"])
def kept(request, tmp_path):
    """The options of a runtime that keeps history and values there; another one finds them if they last."""
    match request.param:
        case "memory":
            return {"store": "memory://", "io": {"default": MemoryIO()}}
        case "memory and files":
            return {"store": "memory://", "io": {"default": FileIO(tmp_path / "values")}}
        case "file":
            return {"store": f"file://{tmp_path}/runs", "io": {"default": FileIO(tmp_path / "values")}}
        case _:
            return {"store": request.getfixturevalue("database"), "io": {"default": PostgresIO()}}


@pytest.fixture(params=["file", "postgres"])
def lasting(request, tmp_path):
    """The URL of a store that outlives its process."""
    return f"file://{tmp_path}/runs" if request.param == "file" else request.getfixturevalue("database")
