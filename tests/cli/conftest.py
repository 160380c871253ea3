"""Running the command line, in this process and as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowstone.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable

SHOP = '''
from flowstone import DailyPartitions, Output, Pipeline

pipeline = Pipeline("shop")
days = DailyPartitions("2025-01-01", "2025-01-10")


@pipeline.asset
async def orders() -> list[int]:
    """Every order's amount."""
    print("reading orders")
    return [3, 1, 2]


@pipeline.asset
def total(orders: list[int]) -> Output[int]:
    """What they come to."""
    return Output(sum(orders), metadata={"orders": len(orders)})


@pipeline.asset(partitions=days)
async def visits(context) -> int:
    """Visitors of a day; nobody counted on the fifth."""
    if context.partition.day == 5:
        raise ValueError("the counter was broken")
    return context.partition.day


@pipeline.asset(partitions=days)
async def visits_doubled(visits: int) -> int:
    return 2 * visits
'''


@dataclass(frozen=True)
class Result:
    """What a command said and how it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A machine on which a database takes long to open is busy, not broken."""
    monkeypatch.setenv("FLOWSTONE_CONNECT_TIMEOUT", "120")


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Path:
    """A folder with a small pipeline, made the current one; runs are kept in a file, which is quick."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWSTONE_STORE", "file://.flowstone")
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


@pytest.fixture
def cli(capfd, monkeypatch) -> Callable[..., Result]:
    """Run a command in this process; what it imports and where it looks are undone afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        try:
            app([str(argument) for argument in arguments], prog_name="flowstone", standalone_mode=True)
            status = 0
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else 0
        finally:
            here = str(Path.cwd())
            for name in set(sys.modules) - before:
                if (getattr(sys.modules[name], "__file__", None) or "").startswith(here):
                    del sys.modules[name]
        captured = capfd.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture
def program() -> Callable[..., Result]:
    """Run `python -m flowstone` as a process of its own, without a terminal."""

    def run(*arguments: object, env: dict[str, str] | None = None, cwd: object = None) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "flowstone", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run
