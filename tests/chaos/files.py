"""What can happen to the files of a `file://` store while it is written, and what must be true afterwards.

Removing a folder under a program cannot be undone by it. What it can do is not to acknowledge anything any more: a
call that began when the damage was done must not return.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from flowstone import Runtime
from flowstone.errors import FlowstoneError
from tests.chaos.file_writer import KEEP_RUNS, REFUSED, make

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

__all__ = ["FILE_FAULTS", "FileReport", "file_round"]

ROOT = Path(__file__).parents[2]
JOURNAL = "journal.jsonl"
SURE = KEEP_RUNS // 2
"""So many of the newest acknowledged runs retention has kept for sure: they are not noted in the order they end."""
PATIENCE = 20.0


class Ack(NamedTuple):
    """A run that was acknowledged, and when its call began and ended."""

    run_id: str
    began: float
    ended: float


@dataclass(slots=True)
class FileReport:
    """What many rounds came to."""

    faults: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    late: int = 0
    lost: int = 0
    items: int = 0
    broken: list[str] = field(default_factory=list)


class Damage(NamedTuple):
    """What a fault left behind: how it was, and until when what was acknowledged has to be there."""

    done: float
    safe_until: float | None


def remove(store: Path, _: Random) -> Damage:
    """`rm -r` of the folder."""
    shutil.rmtree(store, ignore_errors=True)
    shutil.rmtree(store, ignore_errors=True)  # What was written in between.
    return Damage(time.monotonic(), None)


def rename(store: Path, _: Random) -> Damage:
    """The folder has another name; nothing in it has changed."""
    store.rename(store.with_name("elsewhere"))
    return Damage(time.monotonic(), time.monotonic())


def replace(store: Path, _: Random) -> Damage:
    """Another file has the journal's name, with what it held when it was copied: what `sed -i` does."""
    copied, beside = time.monotonic(), store / "sedXXXXXX"
    shutil.copy(store / JOURNAL, beside)
    beside.rename(store / JOURNAL)
    return Damage(time.monotonic(), copied)


def truncate(store: Path, random: Random) -> Damage:
    """The journal is cut somewhere."""
    journal = store / JOURNAL
    os.truncate(journal, int(journal.stat().st_size * random.random()))
    return Damage(time.monotonic(), None)


FILE_FAULTS: Mapping[str, Callable[[Path, Random], Damage]] = MappingProxyType(
    {
        "folder removed": remove,
        "folder renamed": rename,
        "journal replaced": replace,
        "journal truncated": truncate,
    }
)


async def file_round(report: FileReport, random: Random, fault: str) -> None:
    """Kill a writer and open its store again, then do this to the next one, and see what it has acknowledged."""
    place = Path(tempfile.mkdtemp(prefix="flowstone-files-"))
    store, ledger = place / "store", place / "ledger"
    try:
        await _killed(report, random, store, ledger)
        await _damaged(report, random, store, ledger, fault)
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _killed(report: FileReport, random: Random, store: Path, ledger: Path) -> None:
    writer = await _started(store, ledger)
    await asyncio.sleep(random.uniform(0.2, 2))
    writer.kill()
    await writer.communicate()
    report.faults["kill -9 of a writer"] = report.faults.get("kill -9 of a writer", 0) + 1
    await _compare(report, store, _noted(ledger)[-SURE:], "was killed")


async def _damaged(report: FileReport, random: Random, store: Path, ledger: Path, fault: str) -> None:
    before = len(_noted(ledger))
    writer = await _started(store, ledger)
    await asyncio.sleep(random.uniform(0.2, 2))
    damage = FILE_FAULTS[fault](store, random)
    report.faults[fault] = report.faults.get(fault, 0) + 1
    try:
        async with asyncio.timeout(PATIENCE):
            told = (await writer.communicate())[0].decode().strip()
    except TimeoutError:
        writer.kill()
        told = (await writer.communicate())[0].decode().strip()
        report.broken.append(f"after '{fault}' the writer goes on")
    if writer.returncode == REFUSED and not told.startswith("refused False"):
        report.broken.append(f"after '{fault}' health says that all is well")
    noted = _noted(ledger)
    late = [ack for ack in noted if ack.began > damage.done]
    report.acknowledged += len(noted) - before
    report.late += len(late)
    if late:
        report.broken.append(f"{len(late)} runs that began after '{fault}' were acknowledged")
    if fault == "folder renamed":
        shutil.rmtree(store, ignore_errors=True)
        store.with_name("elsewhere").rename(store)
    safe = [] if damage.safe_until is None else [ack for ack in noted if ack.ended < damage.safe_until]
    await _compare(report, store, safe[-SURE:], f"saw '{fault}'")


async def _started(store: Path, ledger: Path) -> asyncio.subprocess.Process:
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.chaos.file_writer",
        store,
        ledger,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
    )
    assert writer.stdout is not None
    line = await writer.stdout.readline()
    assert line == b"ready\n", line
    return writer


def _noted(ledger: Path) -> list[Ack]:
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    acks = []
    for run_id, began, ended in map(str.split, lines):
        acks.append(Ack(run_id, float(began), float(ended)))
    return acks


async def _compare(report: FileReport, store: Path, expected: list[Ack], what: str) -> None:
    """Open the store again: what must be there is there, or it says in a sentence what is damaged."""
    try:
        async with Runtime(make(), store=f"file://{store}", keep_runs=KEEP_RUNS) as runtime:
            lost = 0
            for ack in expected:
                with suppress(FlowstoneError):
                    run = await runtime.run(ack.run_id)
                    lost += await run.status() != "succeeded"
                    continue
                lost += 1
    except FlowstoneError as error:
        if expected:
            report.broken.append(f"a store that {what} does not open: {error}")
        elif "line" not in str(error):
            report.broken.append(f"a store that {what} does not say which line is damaged: {error}")
        return
    report.lost += lost
    if lost:
        report.broken.append(f"{lost} of {len(expected)} acknowledged runs are lost in a store that {what}")
