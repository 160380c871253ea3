"""Listeners as they are defined: what is refused, and where."""

from __future__ import annotations

import pytest

from flowstone import DefinitionError, Pipeline
from flowstone.assets.automation.listener import Listener
from flowstone.assets.snapshot import Snapshot


async def alert(event):
    """Somebody is told."""


def test_a_listener_is_among_the_automations():
    """By the name of its function, unless it is given another one; the function stays what it is."""
    pipeline = Pipeline("sales")
    assert pipeline.on("run.failed", "asset.overdue")(alert) is alert
    pipeline.on("step", name="other", timeout=5)(print)
    first, second = pipeline.automations.values()
    assert isinstance(first, Listener)
    assert (first.name, first.definition, first.exact_kinds) == (
        "alert",
        "run.failed, asset.overdue",
        {"run.failed", "asset.overdue"},
    )
    assert (second.name, second.timeout) == ("other", 5.0)
    assert "step.progressed" not in second.exact_kinds


def test_a_listener_may_be_about_one_asset():
    """Given by name or as itself; an asset that nobody defines is refused when the runtime is made."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    def report() -> int:
        return 1

    pipeline.on("step.failed", asset=report)(alert)
    assert pipeline.automations["alert"].definition == "step.failed of report"
    Snapshot.of([pipeline])
    pipeline.on("step.failed", asset="reprot", name="other")(alert)
    with pytest.raises(DefinitionError, match=r"'reprot', which nobody defines. Did you mean 'report'"):
        Snapshot.of([pipeline])


def test_listeners_are_included_with_their_pipeline():
    """Once, however often; of two with one name the second is refused, with both lines."""
    pipeline, other = Pipeline("sales"), Pipeline("other")
    pipeline.on("run")(alert)
    other.include(pipeline)
    other.include(pipeline)
    assert list(other.automations) == ["alert"]
    with pytest.raises(
        DefinitionError, match=r"'alert' is the name of a listener at .*test_listener\.py:\d+ and of"
    ):
        pipeline.on("run")(alert)


@pytest.mark.parametrize(
    ("kinds", "options", "complaint"),
    [
        (("run.faild",), {}, r"Did you mean 'run\.failed'"),
        (("run.*",), {}, "pass 'run'"),
        (("step.progressed",), {}, "not recorded"),
        (("run",), {"timeout": 0}, "takes seconds"),
        (("run",), {"timeout": True}, "takes seconds"),
        (("run",), {"asset": 3}, "is no asset"),
        (("run",), {"name": ""}, "takes a name"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_written(kinds, options, complaint):
    """With the line of the definition."""
    with pytest.raises(DefinitionError, match=rf"test_listener\.py:\d+.*{complaint}"):
        Pipeline("sales").on(*kinds, **options)(alert)


@pytest.mark.parametrize("function", [lambda: None, lambda a, b: None, 3])
def test_a_listener_takes_one_event(function):
    """Neither none nor two."""
    with pytest.raises(DefinitionError, match="listener"):
        Pipeline("sales").on("run", name="x")(function)


def test_a_decorator_without_its_kinds_is_refused():
    """It would never be called."""
    with pytest.raises(DefinitionError, match=r"write `@pipeline\.on"):
        Pipeline("sales").on(alert)


def test_only_what_listens_can_be_added():
    """An object that says how."""
    with pytest.raises(DefinitionError, match=r"add\(\) takes .* or a WebhookAlert, not 3"):
        Pipeline("sales").add(3)
