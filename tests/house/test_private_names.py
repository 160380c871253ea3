"""The command line uses what everybody can use: no private name of any other package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "flowstone"
OWN = ROOT / "cli"
OF_PYTHON = {"os._exit", "sys._current_frames"}  # Documented, underscore or not.


def is_private(name: str) -> bool:
    """Whether a name is one's own by its look; `__name__` is not."""
    return name.startswith("_") and not name.startswith("__")


def private_uses(source: str) -> list[str]:
    """What a module touches of others: attributes and imports with private names, and `getattr` for them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name) if is_private(name):
                found.append(ast.unparse(node))
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr" | "setattr"), args=[_, ast.Constant(str(name)), *_]
            ) if is_private(name):
                found.append(ast.unparse(node))
            case ast.ImportFrom(module=module, names=names):
                found += [f"{module}.{each.name}" for each in names if is_private(each.name)]
            case _:
                pass
    return [use for use in found if use not in OF_PYTHON]


def test_private_uses_are_found():
    """Otherwise the next test would prove nothing."""
    source = (
        "from a import _b\nself._c\nself.d._e\ngetattr(f, '_g')\nos._exit(1)\n__name__\nh.__class__\ni()._j()"
    )
    assert sorted(private_uses(source)) == ["a._b", "getattr(f, '_g')", "i()._j", "self.d._e"]


@pytest.mark.parametrize("path", sorted(OWN.rglob("*.py")), ids=lambda path: path.relative_to(OWN).as_posix())
def test_the_command_line_touches_nothing_private(path):
    """What it needs of the runtime or a store is public, so that other programs can do the same."""
    assert private_uses(path.read_text()) == []
