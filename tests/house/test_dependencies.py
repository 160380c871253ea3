"""Whatever the tests import is installed by `uv run`, which leaves the extras out; so is what the wheel needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OWN = {"flowstone", "tests", "benchmarks", "examples", "docs"}


def distribution(requirement: str) -> str:
    """The name in `uvicorn>=0.30; sys_platform != 'win32'`, as registries compare names."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()


OF_PYDANTIC = {"pydantic-core", "typing-extensions"}  # Its own requirements, part of what it documents.
NEEDED = {distribution(each) for each in PROJECT["project"]["dependencies"]} | OF_PYDANTIC
DEVELOPMENT = NEEDED | {distribution(each) for each in PROJECT["dependency-groups"]["dev"]}
EXTRAS = {
    distribution(each) for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra
}


def imported(path: Path) -> set[str]:
    """The packages of others that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - OWN


@pytest.mark.parametrize(
    ("folder", "declared"),
    [
        ("flowstone", NEEDED | EXTRAS),
        ("tests", DEVELOPMENT),
        ("benchmarks", DEVELOPMENT),
        ("examples", DEVELOPMENT),
    ],
)
def test_what_is_imported_is_declared(folder, declared):
    """A package that comes along with another one may be gone with the next release of that one."""
    providers = metadata.packages_distributions()  # Without the packages that tests make up.
    undeclared = {
        name: str(path.relative_to(ROOT))
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in imported(path) & providers.keys()
        if not {distribution(each) for each in providers[name]} & declared
    }
    assert undeclared == {}


def test_the_pages_are_tested_without_an_extra():
    """`uv run pytest` and `uv run flowstone serve` have the whole server."""
    server = {distribution(each) for each in PROJECT["project"]["optional-dependencies"]["server"]}
    assert server <= DEVELOPMENT
