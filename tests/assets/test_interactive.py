"""Definitions in notebooks and at prompts, which are made again and again."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from flowstone import WebhookAlert
from flowstone.assets import Pipeline
from flowstone.errors import DefinitionError, DuplicateAsset

CELLS = [
    "<ipython-input-{}-0a1b2c3d>",
    "/tmp/ipykernel_4711/{}.py",
    r"C:\Temp\ipykernel_4711\{}.py",
    "/tmp/ipython-input-{}-1.py",
    "/tmp/xpython_42/{}.py",
    "/tmp/marimo_4711/__marimo__cell_{}_.py",
    "<python-input-{}>",
    "<command-{}>",
]
PROMPTS = ["<stdin>", "<console>", "<input>", "<timed exec>"]


class Session:
    """The `__main__` of a notebook or a prompt."""

    def __init__(self, module: str = "__main__") -> None:
        self.pipeline = Pipeline("notebook")
        self.names: dict[str, Any] = {"__name__": module, "pipeline": self.pipeline}

    def run(self, file: str, source: str) -> None:
        exec(compile(source, file, "exec"), self.names)


RAW = "@pipeline.asset\ndef raw(): return {}"


@pytest.mark.parametrize("file", [*CELLS, *PROMPTS])
def test_a_cell_that_is_run_twice_replaces_its_asset(file):
    """Unchanged, and changed, when it is called otherwise; the graph is that of now."""
    session = Session()
    session.run(file.format(1), RAW.format(1))
    session.run(file.format(2), "@pipeline.asset\ndef report(raw): ...")
    before = session.pipeline.graph
    session.run(file.format(1), RAW.format(1))
    session.run(file.format(3), "# changed\n" + RAW.format(2))
    assert session.pipeline.assets["raw"].function() == 2
    assert session.pipeline.assets["raw"] is session.names["raw"]
    assert session.pipeline.graph is not before
    assert session.pipeline.graph["raw"] is session.names["raw"]
    assert session.pipeline.graph.order() == ["raw", "report"]
    assert before["raw"].function() == 1


def test_a_replaced_asset_may_depend_on_other_things():
    """Edges of what the cell said before are gone."""
    session = Session()
    for name in "ab":
        session.run(CELLS[0].format(name), f"@pipeline.asset\ndef {name}(): ...")
    session.run(CELLS[0].format(1), "@pipeline.asset\ndef report(a): ...")
    assert session.pipeline.graph.upstream("report") == ["a"]
    session.run(CELLS[0].format(2), "@pipeline.asset\ndef report(b): ...")
    assert session.pipeline.graph.upstream("report") == ["b"]
    assert session.pipeline.graph.dependents("a") == ()


def test_constants_are_replaced_as_well():
    """A setting is changed where it was said."""
    session = Session()
    session.run(CELLS[1].format(1), "pipeline.value('depth', 3)")
    session.run(CELLS[1].format(2), "pipeline.value('depth', 4)")
    assert session.pipeline.assets["depth"].value == 4


def test_pipelines_that_include_it_follow():
    """Directly or through others, and including it once more is still nothing new."""
    session = Session()
    session.run(CELLS[1].format(1), RAW.format(1))
    middle, outer = Pipeline("middle"), Pipeline("outer")
    middle.include(session.pipeline)
    outer.include(middle)
    assert outer.graph["raw"].function() == 1
    session.run(CELLS[1].format(2), RAW.format(2))
    outer.include(middle)
    assert [pipeline.graph["raw"].function() for pipeline in (middle, outer)] == [2, 2]


@pytest.mark.parametrize(
    ("module", "first", "second"),
    [
        ("__main__", "/srv/shop/sales.py", "/srv/shop/sales.py"),
        ("__main__", "/srv/shop/sales.py", CELLS[0].format(1)),
        ("__main__", CELLS[0].format(1), "/srv/shop/sales.py"),
        ("sales", CELLS[0].format(1), CELLS[0].format(2)),
        ("__main__", "<string>", "<string>"),
    ],
)
def test_files_define_a_name_once(module, first, second):
    """In a file, or in another module than that of the session, a second definition is a mistake."""
    session = Session(module)
    session.run(first, RAW.format(1))
    with pytest.raises(DuplicateAsset):
        session.run(second, RAW.format(2))
    assert session.pipeline.assets["raw"].function() == 1


def test_two_definitions_in_one_cell_are_a_mistake():
    """One after the other, each a statement of its own as IPython runs them, and in a loop."""
    session = Session()
    session.run(CELLS[0].format(1), RAW.format(1))
    with pytest.raises(DuplicateAsset):
        session.run(CELLS[0].format(1), "\n\n\n" + RAW.format(2))
    loop = "for n in (1, 2):\n    @pipeline.asset\n    def looped(): return n"
    for file in (CELLS[1].format(1), PROMPTS[0]):
        with pytest.raises(DuplicateAsset):
            Session().run(file, loop)


def test_an_included_asset_is_not_replaced():
    """A cell replaces what it has defined itself, and nothing else of the name."""
    shared, session = Pipeline("shared"), Session()

    @shared.asset
    def raw(): ...

    session.pipeline.include(shared)
    with pytest.raises(DuplicateAsset):
        session.run(CELLS[0].format(1), RAW.format(1))


def test_a_pipeline_with_cells_is_plain_data():
    """It can be pickled, as one from a file."""
    session = Session()
    session.run(PROMPTS[0], "pipeline.value('depth', 3)")
    session.pipeline._assets.clear()
    assert pickle.loads(pickle.dumps(session.pipeline)).name == "notebook"


AUTOMATIONS = [
    "pipeline.schedule('often', cron='{} * * * *', asset='raw')",
    "@pipeline.schedule('often', cron='{} * * * *')\ndef often(tick): ...",
    "@pipeline.sensor('often', every={})\ndef often(context): ...",
    "pipeline.sensor('often', print, every={})",
    "@pipeline.on('run.failed', name='often', timeout={})\ndef often(event): ...",
    "pipeline.add(WebhookAlert('https://example.com', name='often', timeout={}))",
]


@pytest.mark.parametrize("source", AUTOMATIONS)
@pytest.mark.parametrize("file", [CELLS[1], PROMPTS[0]])
def test_a_cell_that_is_run_twice_replaces_its_automation(source, file):
    """As its asset, also in pipelines that include it; what it was is forgotten."""
    session = Session()
    session.names["WebhookAlert"] = WebhookAlert
    session.run(file.format(0), RAW.format(1))
    session.run(file.format(1), source.format(1))
    outer = Pipeline("outer")
    outer.include(session.pipeline)
    (first,) = session.pipeline.automations.values()
    session.run(file.format(1), source.format(1))
    session.run(file.format(2), "# changed\n" + source.format(2))
    (second,) = session.pipeline.automations.values()
    assert second.definition != first.definition or second != first
    assert outer.automations["often"] is second


def test_a_cell_may_make_another_kind_of_automation_of_a_name():
    """What was a sensor is a schedule."""
    session = Session()
    session.run(CELLS[1].format(1), AUTOMATIONS[3].format(1))
    session.run(CELLS[1].format(2), AUTOMATIONS[1].format(1))
    assert session.pipeline.automations["often"].kind == "schedule"


@pytest.mark.parametrize("source", AUTOMATIONS)
def test_files_define_an_automation_once(source):
    """Two of one name are a mistake there, and in one cell."""
    for module, first, second in (
        ("sales", "/srv/shop/sales.py", "/srv/shop/sales.py"),
        ("__main__", CELLS[1].format(1), "/srv/shop/sales.py"),
        ("__main__", CELLS[1].format(1), CELLS[1].format(1)),
    ):
        session = Session(module)
        session.names["WebhookAlert"] = WebhookAlert
        session.run(first, RAW.format(1) + "\n" + source.format(1))
        (automation,) = session.pipeline.automations.values()
        with pytest.raises(DefinitionError, match="give one of them another name"):
            session.run(second, "\n\n\n\n" + source.format(2))
        assert session.pipeline.automations["often"] is automation


def test_an_automation_that_is_wrong_replaces_nothing():
    """The cell that worked stays as it was."""
    session = Session()
    session.run(CELLS[1].format(1), AUTOMATIONS[1].format(1))
    with pytest.raises(DefinitionError):
        session.run(CELLS[1].format(2), AUTOMATIONS[1].format(99))
    assert session.pipeline.automations["often"].definition == "1 * * * * UTC"
    session.run(CELLS[1].format(3), AUTOMATIONS[1].format(3))
    assert session.pipeline.automations["often"].definition == "3 * * * * UTC"
