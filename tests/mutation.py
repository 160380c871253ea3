"""Change the code in small ways, one at a time, and see whether a test notices: `uv run python -m tests.mutation`.

Each change (`<` to `<=`, `and` to `or`, a call left out, ...) is made in memory, in a process of its own that runs
the tests in the order of how long they take and stops at the first that fails. A change that no test notices is
printed: either a test is missing, or the changed code means the same, or it is not needed. Those that mean the
same are listed in `ALIKE`, so that the command fails when there is a new one.

    python -m tests.mutation [FILE...] [--tests DIR] [--jobs N]

Without files it is `flowstone/runs/*.py`, in about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.abc
import importlib.util
import io
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[1]
CPU_SECONDS = 120  # A change may make an endless loop.
MEMORY = 4 << 30

ALIKE: dict[str, str] = {}
"""Changes that no test can notice, as they are printed without their line, and why."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: Path
    line: int
    what: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.path.relative_to(ROOT)} {self.what}"


# Changes ----------------------------------------------------------------------------------------------------

OPERATORS: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}
"""Each operator and the one it is changed to."""

Change = tuple[str, Any, Any, str, Any]
"""Where (a qualified name), what is shown of it, a node, one of its fields, and the field's new value."""


def mutants(path: Path) -> Iterator[Mutant]:
    """Every change of a file."""
    tree = ast.parse(path.read_text())
    for where, shown, node, field, value in _changes(tree, ""):
        before, kept = _words(shown), getattr(node, field)
        setattr(node, field, value)
        after = "nothing" if isinstance(value, list) and shown in kept else _words(shown)
        line = shown.pattern.lineno if isinstance(shown, ast.match_case) else shown.lineno
        yield Mutant(path, line, f"{where}: {before} -> {after}", ast.unparse(tree))
        setattr(node, field, kept)


def _words(node: Any) -> str:
    return ast.unparse(ast.fix_missing_locations(node)).splitlines()[0].strip()


def _changes(node: ast.AST, where: str) -> Iterator[Change]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _changes(child, f"{where}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in child.body:
                yield from _inside(statement, where + child.name)


def _inside(tree: ast.AST, where: str) -> Iterator[Change]:
    for node in ast.walk(tree):
        match node:
            case ast.Compare(ops=[op, *others]) if type(op) in OPERATORS:
                yield where, node, node, "ops", [OPERATORS[type(op)](), *others]
            case ast.BoolOp(op=op) | ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in OPERATORS:
                yield where, node, node, "op", OPERATORS[type(op)]()
            case ast.Constant(value=bool() as value):
                yield where, node, node, "value", not value
            case ast.Constant(value=int() as value):
                yield where, node, node, "value", value + 1
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                yield where, node, node, "test", ast.UnaryOp(ast.Not(), test)
            case ast.match_case(guard=ast.expr() as guard):
                yield where, node, node, "guard", ast.UnaryOp(ast.Not(), guard)
            case _:
                pass
        yield from _left_out(node, where)


def _left_out(node: ast.AST, where: str) -> Iterator[Change]:
    """Statements may be missing; a block keeps at least `pass`."""
    for field in ("body", "orelse"):
        block = getattr(node, field, None)
        if not isinstance(block, list):
            continue
        for place, statement in enumerate(block):
            if isinstance(
                statement, ast.Expr | ast.Assign | ast.AugAssign | ast.Delete | ast.Break | ast.Continue
            ):
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    continue
                yield where, statement, node, field, [*block[:place], ast.Pass(), *block[place + 1 :]]


# Tests ------------------------------------------------------------------------------------------------------


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.module = ".".join(mutant.path.relative_to(ROOT).with_suffix("").parts)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.module else None

    def exec_module(self, module: Any) -> None:
        exec(compile(self.mutant.source, str(self.mutant.path), "exec"), module.__dict__)


class Timed:
    """Runs tests in the order of how long they took, and notes how long they take."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self.seconds.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def run_tests(tests: str, timed: Timed) -> int:
    """Run them here, quietly; returns pytest's exit status."""
    settings.register_profile("mutation", database=None, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("mutation")
    options = ["-x", "-p", "no:cacheprovider", "-o", "timeout=0", "--hypothesis-seed=0"]
    options += [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]  # Hypothesis is imported here, before pytest.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return int(pytest.main([tests, *options], plugins=[timed]))


def fork(work: Callable[[], int]) -> int:
    """Do something in a copy of this process; its status is 0 if that returns 0. Returns its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    with contextlib.suppress(BaseException):
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        status = work()
    os._exit(status)


def survivors(found: list[Mutant], tests: str, seconds: dict[str, float], jobs: int) -> Iterator[Mutant]:
    """The mutants that no test notices, as they turn up."""

    def one(mutant: Mutant) -> int:
        sys.meta_path.insert(0, Changed(mutant))
        return run_tests(tests, Timed(seconds))

    waiting = list(reversed(found))
    under_way: dict[int, Mutant] = {}
    while waiting or under_way:
        while waiting and len(under_way) < jobs:
            mutant = waiting.pop()
            under_way[fork(lambda mutant=mutant: one(mutant))] = mutant
        child, status = os.wait()
        mutant = under_way.pop(child)
        if status == 0:
            yield mutant


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=sorted(ROOT.glob("flowstone/runs/*.py")))
    parser.add_argument("--tests", default="tests/runs", help="what is run for each change (tests/runs)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    options = parser.parse_args()
    os.chdir(ROOT)
    began = time.monotonic()
    found = [mutant for path in options.files for mutant in mutants(path.resolve())]
    seconds = durations(options.tests)
    print(f"{len(found)} changes", flush=True)
    unnoticed = 0
    alike = 0
    for mutant in survivors(found, options.tests, seconds, options.jobs):
        if mutant.name in ALIKE:
            alike += 1
            continue
        unnoticed += 1
        print(f"{mutant.path.relative_to(ROOT)}:{mutant.line} {mutant.what}", flush=True)
    print(f"{unnoticed} unnoticed, {alike} known to mean the same, in {time.monotonic() - began:.0f} s")
    return 1 if unnoticed else 0


def durations(tests: str) -> dict[str, float]:
    """How long each test takes on the code as it is; in a process of its own, so that nothing is imported here."""
    reader, writer = os.pipe()

    def measure() -> int:
        timed = Timed({})
        status = run_tests(tests, timed)
        os.write(writer, repr(timed.seconds).encode())
        return status

    child = fork(measure)
    os.close(writer)
    with os.fdopen(reader) as lines:
        text = lines.read()
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"{tests} fails without any change: run it with pytest first.")
    return dict(ast.literal_eval(text))


if __name__ == "__main__":
    sys.exit(main())
