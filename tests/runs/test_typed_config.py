"""Texts that people typed become what the fields take."""

from __future__ import annotations

from typing import Literal

import pytest

from flowstone import Config, ConfigError, Pipeline
from flowstone.runs.typed_config import json_or_text, merged, nested, typed_config


class Limits(Config):
    high: int = 3


class ReportConfig(Config):
    threshold: int = 3
    label: str = "new"
    ready: bool = False
    mode: Literal["fast", "exact"] = "fast"
    limits: Limits = Limits()
    days: tuple[int, ...] = ()


pipeline = Pipeline("typed")


@pipeline.asset
def report(config: ReportConfig) -> int:
    return config.threshold


def read(**texts: str):
    paths = {("report", *name.split("__")): text for name, text in texts.items()}
    config = {}
    for path, text in paths.items():
        config = merged(config, nested(path, json_or_text(text)))
    return typed_config(pipeline.graph, ("report",), config, paths)


@pytest.mark.parametrize(
    ("texts", "fields"),
    [
        ({"threshold": "5"}, {"threshold": 5}),
        ({"label": "5"}, {"label": "5"}),
        ({"label": '"5"'}, {"label": "5"}),
        ({"label": "true", "ready": "true"}, {"label": "true", "ready": True}),
        ({"mode": "exact"}, {"mode": "exact"}),
        ({"limits__high": "9"}, {"limits": {"high": 9}}),
        ({"days": "[1, 2]"}, {"days": [1, 2]}),
        ({"label": "[" * 10_000}, {"label": "[" * 10_000}),
    ],
)
def test_a_text_is_json_where_its_field_takes_that(texts, fields):
    """And as it was typed elsewhere."""
    assert read(**texts) == {"report": fields}


@pytest.mark.parametrize(
    "texts", [{"threshold": "many"}, {"threshold": "1.5"}, {"ready": "[]"}, {"treshold": "5"}]
)
def test_what_a_field_takes_neither_way_is_refused(texts):
    """By its name."""
    with pytest.raises(ConfigError) as refused:
        read(**texts)
    assert refused.value.field == next(iter(texts))


def test_nothing_that_was_given_is_changed():
    """Both are of the caller."""
    before = {"report": {"limits": {"high": 1}}}
    assert merged(before, {"report": {"limits": {"low": 0}}}) == {"report": {"limits": {"high": 1, "low": 0}}}
    assert before == {"report": {"limits": {"high": 1}}}
