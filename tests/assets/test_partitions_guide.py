"""The sessions of the guide are run, as a reader would type them."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import flowstone.assets

GUIDE = (Path(__file__).parents[2] / "docs" / "partitions.md").read_text(encoding="utf-8")
SESSIONS = re.findall(r"^```pycon\n(.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("session", SESSIONS, ids=range(len(SESSIONS)))
def test_the_guide_tells_the_truth(session):
    """Every session gives the results that are printed there, with this layer alone."""
    text = session.replace("from flowstone import", "from flowstone.assets import")
    test = doctest.DocTestParser().get_doctest(text, {}, "partitions.md", None, 0)
    report: list[str] = []
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    results = doctest.DocTestRunner(optionflags=flags).run(test, out=report.append)
    assert results.attempted > 3
    assert results.failed == 0, "".join(report)


def test_the_guide_names_every_set_and_mapping():
    """Nothing a user can write is missing from it."""
    ends = ("Partitions", "Offset", "Part", "Rollup", "SameKey")
    names = [name for name in flowstone.assets.__all__ if name.endswith(ends) and name != "TimePartitions"]
    assert len(names) == 13
    assert [name for name in names if f"{name}(" not in GUIDE] == []
