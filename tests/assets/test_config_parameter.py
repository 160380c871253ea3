"""Which parameter takes the config, and what is refused when an asset is defined."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Optional

import pytest

from flowstone import Config, Context, DefinitionError, Pipeline
from flowstone.assets.signature import read_signature


class Settings(Config):
    threshold: int = 3


class Other(Config):
    label: str = ""


@pytest.fixture
def pipeline():
    """An empty pipeline."""
    return Pipeline("p")


def test_a_parameter_that_is_annotated_with_a_subclass_takes_the_config(pipeline):
    """Whatever its name is; the others are what they were."""

    @pipeline.asset
    def report(raw: int, settings: Settings, context: Context): ...

    assert report.config_parameter.parameter == "settings"
    assert report.config_parameter.model is Settings
    assert [each.asset for each in report.dependencies] == ["raw"]
    assert report.context_parameter == "context"


def test_annotations_of_every_form_are_understood(pipeline):
    """As an object, quoted, within `Annotated`, and behind an alias."""
    alias = Settings

    def annotated(c: Annotated[Settings, "the settings"]): ...

    def aliased(c: alias): ...

    def evaluated(c): ...

    evaluated.__annotations__["c"] = Settings

    def keyword_only(*, c: Settings): ...

    for number, function in enumerate((annotated, aliased, evaluated, keyword_only)):
        asset = pipeline.asset(function, name=f"a{number}")
        assert asset.config_parameter.model is Settings
        assert asset.dependencies == ()


def test_a_local_class_is_found(pipeline):
    """In the place of the definition, as other annotations are."""

    class Local(Config):
        size: int = 1

    @pipeline.asset
    def local(config: Local): ...

    assert local.config_parameter.model is Local


def test_a_parameter_called_config_without_such_a_class_is_a_dependency(pipeline):
    """Only the annotation counts."""
    asset = pipeline.asset(lambda config: config, name="a")
    assert [each.asset for each in asset.dependencies] == ["config"]
    assert asset.config_parameter is None


def test_what_cannot_be_a_config_is_refused_with_the_line(pipeline):
    """Each with what to write instead."""

    def optional(c: Settings | None): ...

    def old_optional(c: Optional[Settings]): ...  # noqa: UP045 - the older form is what is tested

    def either(c: Settings | int): ...

    def bare(c: Config): ...

    def with_default(c: Settings = Settings()): ...  # noqa: B008 - a frozen value

    def two(c: Settings, d: Other): ...

    for function, words in (
        (optional, "takes a config or something else, but a config is always given: annotate it c: Settings"),
        (old_optional, "takes a config or something else"),
        (either, "takes a config or something else"),
        (bare, "annotate it with a subclass of your own"),
        (with_default, "remove it, and give the fields of Settings defaults"),
        (two, "'c' and 'd' both take a config; make one class of the two"),
    ):
        with pytest.raises(DefinitionError, match=r"test_config_parameter\.py:\d+\): ") as refused:
            pipeline.asset(function)
        assert words in str(refused.value)


def test_a_config_is_frozen_and_refuses_unknown_fields():
    """It is a pydantic model."""
    settings = Settings(threshold=5)
    with pytest.raises(ValueError, match="frozen"):
        settings.threshold = 6
    with pytest.raises(ValueError, match="Extra inputs"):
        Settings(treshold=5)


PROGRAM = """
import sys
from flowstone import Pipeline
pipeline = Pipeline("p")
@pipeline.asset
def one(context) -> int: return 1
@pipeline.asset(version="2")
def two(one: int) -> int: return one
pipeline.graph
print("pydantic" in sys.modules)
"""


def test_assets_without_a_config_load_no_pydantic():
    """They are defined and their graph is built without it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_functions_of_other_kinds_take_a_config():
    """Partials and objects that are called are read in another way."""

    class Callable:
        def __call__(self, config: Settings) -> int:
            return config.threshold

    where = ("a", "f.py:1")
    assert read_signature(Callable(), where, sys._getframe()).config.model is Settings
