"""What type checkers make of the actor core: right uses have their types, wrong ones are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowstone import actors

api = pytest.importorskip("mypy.api")

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "typing" / "actors.py"

WRONG = {
    "a stranger's message": ("await counter.call(Ask())", "arg-type"),
    "a stranger's cast": ("plain.cast(Reset())", "arg-type"),
    "casting a call": ("counter.cast(Bump())", "arg-type"),
    "calling a cast": ("await counter.call(Reset())", "arg-type"),
    "a reply of another type": ("text: str = await counter.call(Bump())", "arg-type"),
    "a wrong field": ("await counter.call(Bump('1'))", "arg-type"),
    "a method that is not there": ("counter.send(Bump())", "attr-defined"),
    "a restart type that is none": ("Child('x', Counter, restart='sometimes')", "call-overload"),
    "a child that cannot be supervised": ("Child('x', lambda: 5)", "arg-type"),
    "a strategy that is none": ("Supervisor([], strategy='one')", "arg-type"),
    "a general reference as a special one": ("special: Ref[Special] = counter", "assignment"),
    "an instance that may be gone": ("counter.instance.total", "union-attr"),
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    """The strict opinion of mypy on the sample with every wrong use at its end, by line."""
    folder = tmp_path_factory.mktemp("typing")
    lines = [SAMPLE.read_text(), "async def wrong(counter: Ref[Counter], plain: Ref[Plain]) -> None:"]
    first = "\n".join(lines).count("\n") + 2
    lines += [f"    {code}" for code, _ in WRONG.values()]
    sample = folder / "sample.py"
    sample.write_text("\n".join(lines) + "\n")
    options = [
        "--strict",
        "--no-error-summary",
        "--config-file=",
        f"--cache-dir={ROOT / '.mypy_cache' / 'samples'}",
    ]
    output, errors, _ = api.run([*options, "--python-executable", sys.executable, str(sample)])
    assert errors == ""
    found: dict[int, str] = {}
    for line in output.splitlines():
        if ": error:" in line:
            found[int(line.split(":")[1])] = line
    return {line - first: message for line, message in found.items()}


def test_right_uses_have_the_types_an_editor_shows(verdict):
    """The checker finds nothing to say before the wrong uses."""
    assert [message for line, message in verdict.items() if line < 0] == []


@pytest.mark.parametrize("number", range(len(WRONG)), ids=list(WRONG))
def test_wrong_uses_are_refused(number, verdict):
    """Each with an error of its kind."""
    _, code = list(WRONG.values())[number]
    assert number in verdict, "mypy accepts it"
    assert f"[{code}]" in verdict[number]


def test_the_public_names_are_sorted_documented_and_complete():
    """Everything users import stands in `__all__`, with a docstring."""
    assert actors.__all__ == sorted(actors.__all__)
    for name in actors.__all__:
        assert getattr(actors, name).__doc__, f"{name} has no docstring"
