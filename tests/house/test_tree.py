"""Rules of the house that a machine can check cheaply, over the files git tracks."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from flowstone.store.postgres.schema import LATEST
from flowstone.store.postgres.sql import migrations

ROOT = Path(__file__).parents[2]
MAX_FILE, MAX_FUNCTION = 300, 50
LONGEST_FILE = 600
FORBIDDEN_NAMES = {"utils.py", "util.py", "helpers.py", "helper.py", "base.py", "common.py", "misc.py"}


@cache
def tracked() -> tuple[Path, ...]:
    """The files of the project, as git lists them, without what is deleted in the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("these rules are about the files git tracks, and this is not a clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def sources(*tops: str) -> list[Path]:
    """The tracked Python files under the given folders."""
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in tops]


def found(pattern: str, paths: list[Path]) -> list[str]:
    """`file:line` of each match."""
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_every_module_says_what_it_is_for():
    """Each module of the package, the examples and the benchmarks opens with a docstring."""
    modules = sources("flowstone", "examples", "benchmarks")
    assert modules
    assert [
        str(path.relative_to(ROOT)) for path in modules if not ast.get_docstring(ast.parse(path.read_text()))
    ] == []


def test_no_file_is_a_drawer():
    """No file is named after nothing in particular."""
    assert [str(path) for path in tracked() if path.name in FORBIDDEN_NAMES] == []


def test_no_file_is_longer_than_an_idea():
    """At 600 lines a file of the package holds more than one."""
    long = [path for path in sources("flowstone") if path.read_text().count("\n") > LONGEST_FILE]
    assert [str(path.relative_to(ROOT)) for path in long] == []


def test_long_files_open_with_a_map():
    """A file over 300 lines begins with a docstring of at least six lines: its map."""
    long = [path for path in sources("flowstone") if path.read_text().count("\n") > MAX_FILE]
    maps = {path: (ast.get_docstring(ast.parse(path.read_text())) or "").count("\n") for path in long}
    assert [str(path.relative_to(ROOT)) for path, lines in maps.items() if lines < 5] == []


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, which is there to be long enough."""
    words = function.body[0] if ast.get_docstring(function) else None
    documented = words.end_lineno - words.lineno + 1 if words else 0
    return function.end_lineno - function.lineno + 1 - documented


def test_functions_fit_on_a_screen():
    """No function of the package is longer than fifty lines."""
    functions = (
        (path, node)
        for path in sources("flowstone")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert [f"{path.name}:{node.name}" for path, node in functions if length(node) > MAX_FUNCTION] == []


def test_suppressions_carry_a_code_and_a_reason():
    """Each `noqa` and `type: ignore` names its code and is followed by words."""
    noqa = r"#\s*noqa(?!: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*\s+[-#].*\w)"
    ignore = r"#\s*type:\s*ignore(?!\[[a-z-]+(, ?[a-z-]+)*\]\s+[-#].*\w)"
    own = Path(__file__)
    paths = [path for path in sources("flowstone", "examples", "benchmarks", "tests") if path != own]
    assert found(noqa, paths) + found(ignore, paths) == []


def test_wait_for_is_nowhere():
    """`asyncio.wait_for` can lose a cancellation on Python 3.11; `asyncio.timeout` is used instead."""
    assert (
        found(
            r"asyncio\.wait_for|from asyncio import .*\bwait_for\b",
            sources("flowstone", "examples", "benchmarks"),
        )
        == []
    )


def test_one_module_starts_tasks():
    """Only one module of the actor core calls `create_task`; every other task would have no supervisor.

    A simulated loop is what makes tasks when others ask for it.
    """
    spawning = {hit.split(":")[0] for hit in found(r"\b(create_task|ensure_future)\(", sources("flowstone"))}
    spawning -= {"flowstone/testing/simulation/loop.py"}
    assert len(spawning) <= 1
    assert all(name.startswith("flowstone/actors/") for name in spawning)


def test_the_package_does_not_print():
    """Output belongs to the command line's console, never to `print`."""
    assert found(r"(?<![\w.])print\(", sources("flowstone")) == []


def test_nothing_is_left_for_later():
    """No marker of unfinished work is in the package."""
    assert found(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError", sources("flowstone", "examples")) == []


def test_the_project_names_no_machine():
    """No tracked file names a path of somebody's machine or a package registry's host."""
    homes = [r"/ho" + r"me/\w+", r"/Us" + r"ers/\w+", r"/ro" + r"ot/\w", r"(?<![\w.])/wo" + r"rk/\w"]
    hosts = [r"files\.pythonhosted" + r"\.org", r"pypi\.org/" + r"simple", r"index" + r"-url"]
    texts = [path for path in tracked() if path.suffix in {".py", ".md", ".toml", ".sql", ".txt", ""}]
    assert found("|".join([*homes, *hosts]), texts) == []


def test_the_lock_file_is_not_tracked():
    """`uv.lock` names registry hosts, so it stays out of git."""
    assert [path.name for path in tracked() if path.name == "uv.lock"] == []


def test_the_checks_run_what_the_readme_says():
    """`.ci/run` and README.md have the same test command."""
    command = "python -m pip install uv && uv run pytest"
    assert command in (ROOT / ".ci" / "run").read_text()
    assert command in (ROOT / "README.md").read_text()
    assert "python -m pip install uv && uv run flowstone demo" in (ROOT / "README.md").read_text()


def test_migrations_are_numbered_without_gaps():
    """The newest one is what this release needs."""
    assert [number for number, _, _ in migrations()] == list(range(1, LATEST + 1))
