"""The map of the code is true: the files it names exist, and the hour's reading fits into an hour."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
HOUR = 2_500
"""Lines that can be read in an hour."""


def test_every_file_that_is_named_exists():
    """A path is one below the package."""
    named = sorted(set(re.findall(r"(?<![\w/.])(?:[a-z_]+/)*[a-z_]+\.py\b|(?<=`)(?:[a-z_]+/)+(?=`)", PAGE)))
    assert len(named) > 20
    assert [path for path in named if not (ROOT / "flowstone" / path).exists()] == []


def test_the_first_reading_takes_an_hour():
    """The numbered list of the reading order."""
    order = PAGE.partition("## Reading order\n")[2].partition("\nThen, as you need them")[0]
    files = re.findall(r"`([a-z_/]+\.py)`", order)
    assert len(files) == 8
    assert sum((ROOT / "flowstone" / file).read_text().count("\n") for file in files) <= HOUR
