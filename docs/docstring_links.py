"""Makes names in the docstrings of the reference links: `Runtime` in backticks leads to the entry of that class.

mkdocstrings loads this extension while the site is built; `docs/zensical.toml` names it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import griffe

ENTRY = re.compile(r"^::: (\S+)$", re.MULTILINE)
NAME = re.compile(r"(?<!\[)`(?P<name>[A-Z]\w+)`(?!\])")


class DocstringLinks(griffe.Extension):
    """Knows the names that have an entry, and links to them."""

    def __init__(self) -> None:
        pages = sorted((Path(__file__).parent / "reference").glob("*.md"))
        paths = [path for page in pages for path in ENTRY.findall(page.read_text(encoding="utf-8"))]
        self._paths = {path.rpartition(".")[2]: path for path in paths}

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of what was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = NAME.sub(lambda found: self._link(found, obj), obj.docstring.value)

    def _link(self, found: re.Match[str], obj: griffe.Object) -> str:
        name = found["name"]
        path = self._paths.get(name)
        return found[0] if path is None or name == obj.name else f"[`{name}`][{path}]"
