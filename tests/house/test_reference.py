"""The API reference has every public name once, and every page of the documentation has its place in the site."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from flowstone import Run, RunResult, Runtime
from flowstone.runs.automation_events import Event

DOCS = Path(__file__).parents[2] / "docs"
NAMESPACES = [
    "flowstone",
    "flowstone.actors",
    "flowstone.alerts",
    "flowstone.client",
    "flowstone.sensors",
    "flowstone.errors",
    "flowstone.io",
    "flowstone.io.codecs",
    "flowstone.store",
    "flowstone.testing",
]


def named(path: str) -> object:
    """What a dotted path of the reference names."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def entries() -> list[str]:
    """The dotted paths that the pages of the reference describe."""
    pages = sorted((DOCS / "reference").glob("*.md"))
    return [path for page in pages for path in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_public_name_is_in_the_reference(namespace):
    """What a namespace exports is described, under this or another of its public paths."""
    described = [named(path) for path in entries()]
    module = importlib.import_module(namespace)
    missing = [n for n in module.__all__ if not any(getattr(module, n) is it for it in described)]
    assert missing == []


def test_the_reference_describes_nothing_twice():
    """No object has two entries."""
    twice = [path for path, count in Counter(id(named(path)) for path in entries()).items() if count > 1]
    assert twice == []


def test_the_site_has_every_page():
    """The navigation names each page of `docs/`, and the documents that are brought from elsewhere."""
    site = tomllib.loads((DOCS / "zensical.toml").read_text())["project"]

    def pages(entry) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [
            page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)
        ]

    own = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    brought = {"readme.md", "contributing.md", "changelog.md", "benchmarks.md"}
    assert sorted(pages(site["nav"])) == sorted(own | brought)


def public(kind: type) -> set[str]:
    """The names of a class that are for its users."""
    return {name for name in vars(kind) if not name.startswith("_")}


def test_every_call_of_a_runtime_is_in_its_guide():
    """So is what a run and its result offer."""
    guide = (DOCS / "runtime.md").read_text()
    offered = public(Runtime) | public(Run) | public(RunResult) - {"of", "record"}
    assert sorted(name for name in offered if not re.search(rf"\b{name}\b", guide)) == []


def test_every_event_is_in_the_reference_and_in_the_lifecycle():
    """Whoever subscribes can look up what comes."""
    lifecycle = (DOCS / "lifecycle.md").read_text()
    described = [named(path) for path in entries()]
    assert [event.__name__ for event in get_args(Event) if event not in described] == []
    assert [event.kind for event in get_args(Event) if f"`{event.kind}`" not in lifecycle] == []
