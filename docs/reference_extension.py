"""What the reference shows of the code: mkdocstrings loads this extension while the site is built.

* A name in a docstring is a link: `Runtime` in backticks leads to the entry of that class.
* A class made by `flowstone.frozen` is shown as the dataclass that it is, with its constructor.

`docs/zensical.toml` names the extension.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

ENTRY = re.compile(r"^::: (\S+)$", re.MULTILINE)
NAME = re.compile(r"(?<!\[)`(?P<name>[A-Z]\w+)`(?!\])")


class Reference(griffe.Extension):
    """Knows the names that have an entry."""

    def __init__(self) -> None:
        pages = sorted((Path(__file__).parent / "reference").glob("*.md"))
        paths = [path for page in pages for path in ENTRY.findall(page.read_text(encoding="utf-8"))]
        self._paths = {path.rpartition(".")[2]: path for path in paths}

    def on_class_instance(self, *, cls: griffe.Class, **_: Any) -> None:
        """Let griffe see a dataclass."""
        if any(decorator.callable_path == "flowstone.frozen.frozen" for decorator in cls.decorators):
            known = griffe.ExprName("dataclasses.dataclass")
            cls.decorators.append(griffe.Decorator(known, lineno=cls.lineno, endlineno=cls.lineno))

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put links into a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = NAME.sub(lambda found: self._link(found, obj), obj.docstring.value)

    def _link(self, found: re.Match[str], obj: griffe.Object) -> str:
        name = found["name"]
        path = self._paths.get(name)
        return found[0] if path is None or name == obj.name else f"[`{name}`][{path}]"
