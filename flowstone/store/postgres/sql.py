"""SQL by name: one statement a file, in `flowstone/store/queries`; migrations in `flowstone/store/migrations`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["migrations", "query"]

_STORE: Final = "flowstone.store"
_NUMBERED: Final = re.compile(r"(\d{4})_(\w+)\.sql")


@cache
def query(name: str) -> str:
    """The text of one statement."""
    return _folder("queries").joinpath(f"{name}.sql").read_text(encoding="utf-8")


@cache
def migrations() -> tuple[tuple[int, str, str], ...]:
    """Number, name and text of each migration, in order."""
    found = []
    for file in _folder("migrations").iterdir():
        match = _NUMBERED.fullmatch(file.name)
        if match is not None:
            found.append((int(match[1]), match[2], file.read_text(encoding="utf-8")))
    return tuple(sorted(found))


def _folder(name: str) -> Traversable:
    return files(_STORE).joinpath(name)
