"""A process that goes through items on a `file://` store is killed again and again, until one comes to the end."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.io.files import FileIO
from flowstone.store.open import open_store
from tests.chaos.item_checks import RecordedItems, check_items, check_summary

if TYPE_CHECKING:
    from random import Random

    from flowstone.store.protocol import Store
    from tests.chaos.files import FileReport

__all__ = ["item_round"]

ROOT = Path(__file__).parents[2]
KILLS = 6


async def item_round(report: FileReport, random: Random) -> None:
    """One run, several kills."""
    place = Path(tempfile.mkdtemp(prefix="flowstone-items-"))
    store, recorded = place / "store", RecordedItems(place)
    runs: set[str] = set()
    try:
        for left in range(KILLS, -1, -1):
            writer = await _started(store, place)
            if left:
                await asyncio.sleep(random.uniform(0.05, 0.5))
                writer.kill()
                report.faults["kill -9 of a writer"] = report.faults.get("kill -9 of a writer", 0) + 1
            await writer.communicate()
            opened = open_store(f"file://{store}")
            await opened.open()
            try:
                runs |= await _look(report, opened, recorded, place, ended=not left)
            finally:
                await opened.close()
        report.broken += recorded.called_again(runs)
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _started(store: Path, place: Path) -> asyncio.subprocess.Process:
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.item_writer",
        store,
        place,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    assert writer.stdout is not None
    await writer.stdout.readline()  # Empty if it has ended.
    return writer


async def _look(
    report: FileReport, store: Store, recorded: RecordedItems, place: Path, *, ended: bool
) -> set[str]:
    """Note what is recorded, and look at all of it once the run is to have ended."""
    (run,) = await store.runs(limit=2)
    await recorded.note(store.items, run.id, None)
    if ended:
        report.acknowledged += 1
        report.items += sum(1 for row in await store.items.rows(run.id, ("page", None)))
        if run.status != "succeeded":
            report.broken.append(f"run {run.id} is {run.status}")
            return {run.id}
        io = FileIO(place / "values")
        report.broken += await check_items(store.items, io, run.id, None)
        summary = await store.step(run.id, ("summary", None))
        assert summary is not None
        report.broken += check_summary(run.id, await io.load(str(summary.location)))
    return {run.id}
