"""Loads the examples by file name: they are scripts, not a package."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch):
    """A function that imports one example as a module."""

    def load(name, line=None, instead=None):
        """The module; with one line of its source changed, if that is wanted."""
        path = EXAMPLES / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"example_{name}", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        source = path.read_text()
        if line is not None:
            assert source.count(line) == 1
            source = source.replace(line, instead)
        exec(compile(source, path, "exec"), module.__dict__)
        return module

    return load


@pytest.fixture
def run_example(tmp_path, monkeypatch):
    """A function that runs one example as its reader would, and returns what it printed."""
    monkeypatch.setenv("COLUMNS", "110")

    def run(name):
        command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=200, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run
