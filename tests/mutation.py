"""Change the code in small ways, one at a time, and see whether a test notices: `uv run python -m tests.mutation`.

Each change (`<` to `<=`, `and` to `or`, a call left out, ...) is made to one function in memory, in a process of
its own that runs the tests in the order of how long they take and stops at the first that fails. A change that no
test notices is printed: either a test is missing, or the changed code means the same, or it is not needed. Those
that mean the same are listed in `ALIKE`, so that the command fails when there is a new one.

    python -m tests.mutation [FILE...] [--tests DIR] [--jobs N]

Without files it is `flowstone/runs/*.py`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).parents[1]
CPU_SECONDS = 120  # A change may make an endless loop.
MEMORY = 4 << 30
NOT_MADE = 2

ALIKE: dict[str, str] = {
    "RunState.apply: type(event) is StepSucceeded -> type(event) is not StepSucceeded": "a short cut",
    "RunState._commands: len(starts.running) < starts.slots -> len(starts.running) <= starts.slots": "asked again",
    "RunState._signalled: assert_never(signal) -> nothing": "for the type checker",
    "Batches.checked: 0 -> 1": "neither is None",
    "Batches.recorded: 0 -> 1": "neither is None",
}
"""Changes that no test can notice, as they are printed behind the line, and why."""


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: Path
    where: str
    line: int
    what: str
    source: str

    @property
    def name(self) -> str:
        return f"{self.where}: {self.what}"


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
        yield Mutant(path, where, line, f"{before} -> {after}", ast.unparse(tree))
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


def apply(mutant: Mutant) -> None:
    """Give the changed function its new code; whoever has the function, has it changed."""
    module = sys.modules[".".join(mutant.path.relative_to(ROOT).with_suffix("").parts)]
    found: Any = module
    for name in mutant.where.split("."):
        found = vars(found)[name]
    found = getattr(found, "fget", None) or getattr(found, "__func__", found)
    found.__code__ = _code(compile(mutant.source, str(mutant.path), "exec"), mutant.where)


def _code(code: CodeType, name: str) -> CodeType:
    inside = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return next((one for one in inside if one.co_qualname == name), None) or next(
        found for one in inside if name.startswith(f"{one.co_qualname}.") and (found := _code(one, name))
    )


class Mutations:
    """A pytest plugin that runs the tests it collected for each mutant, each time in a copy of this process.

    Args:
        found: The mutants.
        jobs: How many at a time.
        survived: Called with each that no test notices.
    """

    def __init__(self, found: list[Mutant], jobs: int, survived: Callable[[Mutant], None]) -> None:
        self.found = found
        self.jobs = jobs
        self.survived = survived

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        seconds = self._durations(session)
        session.items.sort(key=lambda item: seconds[item.nodeid])
        waiting = list(reversed(self.found))
        under_way: dict[int, Mutant] = {}
        while waiting or under_way:
            while waiting and len(under_way) < self.jobs:
                mutant = waiting.pop()
                under_way[fork(lambda mutant=mutant: self._notices(session, mutant))] = mutant
            child, status = os.wait()
            mutant = under_way.pop(child)
            if status == 0:
                self.survived(mutant)
            elif os.waitstatus_to_exitcode(status) == NOT_MADE:
                raise SystemExit(f"Cannot make the change {mutant.name}")
        return True

    def _notices(self, session: pytest.Session, mutant: Mutant) -> int:
        try:
            apply(mutant)
        except Exception:
            return NOT_MADE
        for item in session.items:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            if session.testsfailed:
                return 1
        return 0

    def _durations(self, session: pytest.Session) -> dict[str, float]:
        """How long each test takes on the code as it is."""
        reader, writer = os.pipe()

        def measure() -> int:
            seconds = {}
            for item in session.items:
                began = time.process_time()
                item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
                seconds[item.nodeid] = time.process_time() - began
            os.write(writer, repr(seconds).encode())
            return min(session.testsfailed, 1)

        child = fork(measure)
        os.close(writer)
        with os.fdopen(reader) as lines:
            text = lines.read()
        if os.waitpid(child, 0)[1]:
            raise SystemExit("A test fails without any change: run them with pytest first.")
        return dict(ast.literal_eval(text))


def fork(work: Callable[[], int]) -> int:
    """Do something in a copy of this process, which ends with what that returns, or with 1. Returns its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    with contextlib.suppress(BaseException):
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        status = work()
    os._exit(status)


def run(found: list[Mutant], tests: str, jobs: int, survived: Callable[[Mutant], None]) -> int:
    """Run the tests of a folder for each mutant; returns pytest's exit status, not 0 if they could not be run."""
    settings.register_profile("mutation", database=None, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("mutation")
    options = ["-s", "-n0", "-p", "no:cacheprovider", "-o", "timeout=0", "--hypothesis-seed=0"]
    options += [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]  # Hypothesis is imported here, before pytest.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return int(pytest.main([tests, *options], plugins=[Mutations(found, jobs, survived)]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, default=sorted(ROOT.glob("flowstone/runs/*.py")))
    parser.add_argument("--tests", default="tests/runs", help="what is run for each change (tests/runs)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    options = parser.parse_args()
    os.chdir(ROOT)
    out = sys.stdout
    began = time.monotonic()
    found = [mutant for path in options.files for mutant in mutants(path.resolve())]
    print(f"{len(found)} changes", flush=True)
    unnoticed: list[Mutant] = []
    alike: list[Mutant] = []

    def survived(mutant: Mutant) -> None:
        (alike if mutant.name in ALIKE else unnoticed).append(mutant)
        if mutant.name not in ALIKE:
            where = f"{mutant.path.relative_to(ROOT)}:{mutant.line} {mutant.where}"
            print(f"{where}: {mutant.what}", file=out, flush=True)

    if run(found, options.tests, options.jobs, survived) != pytest.ExitCode.OK:
        print("Nothing was tried: a test fails without any change, or a change could not be made.")
        return 2
    took = time.monotonic() - began
    print(f"{len(unnoticed)} unnoticed, {len(alike)} known to mean the same, in {took:.0f} s")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
