"""A client has the calls of a runtime, with the same arguments; what it has not is said here, and why."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from flowstone import Runtime
from flowstone.client import Client
from flowstone.client.lineage import RemoteLineage
from flowstone.runtime.client.lineage import Lineage

NOT_REMOTE = {
    "drain": "of the process",
    "graph": "has the functions themselves",
    "identify": "for who serves",
    "live_runs": "of the process: `nodes` says it of all",
    "load": "a value stays where it is",
    "log_in": "for who serves",
    "log_out": "for who serves",
    "loop": "of the process",
    "node": "of the process",
    "pipeline_of": "`assets` says it",
    "pipelines": "`assets` and `nodes` say it",
    "queued_steps": "of the process: `nodes` says it of all",
    "reload": "of the process",
    "running_steps": "of the process: `nodes` says it of all",
    "stale": '`plan` with `refresh="stale"` and `why` say it',
    "subscribe": "of the process: `feed` has what is on record",
    "ui": "is what is asked",
}
LEFT_OUT = {("retry", "here"): "of the process"}
OWN = {"url": "where it asks"}
AWAITED = {"assets", "select", "tree"}  # What a runtime answers at once is asked of a server.


def calls(kind: type) -> set[str]:
    """The public names of a class."""
    return {name for name in dir(kind) if not name.startswith("_")}


def test_a_client_has_every_call_that_makes_sense_from_another_machine():
    """Whoever adds a call to the runtime adds it here, or says why not."""
    assert calls(Client) == (calls(Runtime) - NOT_REMOTE.keys()) | OWN.keys()
    assert calls(RemoteLineage) == calls(Lineage)


def parameters(function) -> list[tuple[str, object, object, str]]:
    """Names, kinds, defaults and types; a plan is one that a server has made."""
    return [
        (each.name, each.kind, each.default, str(each.annotation).replace("RemotePlan", "Plan"))
        for each in inspect.signature(function).parameters.values()
        if (function.__name__, each.name) not in LEFT_OUT
    ]


@pytest.mark.parametrize(
    ("client", "runtime", "name"),
    [(Client, Runtime, name) for name in sorted(calls(Client) & calls(Runtime) - {"lineage"})]
    + [(RemoteLineage, Lineage, name) for name in sorted(calls(Lineage))],
)
def test_a_call_has_the_same_arguments(client, runtime, name):
    """In the same order, with the same defaults and types; what is a coroutine there is one here."""
    own, its = getattr(client, name), getattr(runtime, name)
    assert parameters(own) == parameters(its)
    if name in AWAITED:
        assert inspect.iscoroutinefunction(own)
    else:
        assert inspect.iscoroutinefunction(own) == inspect.iscoroutinefunction(its)


def test_every_call_is_in_the_guide():
    """The guide says which calls there are, and which not."""
    guide = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
    assert sorted(name for name in calls(Client) if not re.search(rf"`{name}\b", guide)) == []
