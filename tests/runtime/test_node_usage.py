"""What `runtime.nodes()` says of the machine: since when a node lives, its memory, its load."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowstone import Pipeline, Runtime
from flowstone.runtime.cluster import usage


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    """Alone with its store, or one of several nodes."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")


async def test_a_node_says_since_when_it_lives_and_what_it_takes(store):
    """Whether other nodes can share its store or not."""
    before = datetime.now(UTC)
    async with Runtime(Pipeline("empty"), store=store) as runtime:
        (node,) = await runtime.nodes()
        assert before.timestamp() - 60 < node.started_at.timestamp() < datetime.now(UTC).timestamp() + 60
        assert node.memory == pytest.approx(usage.memory(), rel=0.5)
        assert node.load is not None


def test_memory_is_what_the_process_holds():
    """To the megabyte."""
    found = usage.memory()
    assert found is not None
    assert found % 1_000_000 == 0
    assert 1_000_000 < found < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_what_the_system_does_not_say_is_not_known(monkeypatch, tmp_path):
    """On other systems than Linux there is no such file; on some no load."""
    monkeypatch.setattr(usage, "_STATM", tmp_path / "statm")
    assert usage.memory() is None
    Path(tmp_path / "statm").write_text("nonsense", encoding="ascii")
    assert usage.memory() is None
    monkeypatch.delattr(os, "getloadavg")
    assert usage.load() is None


def test_load_is_of_all_processors(monkeypatch):
    """1.0: none of them is idle."""
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 2.0, 1.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert usage.load() == 0.75
