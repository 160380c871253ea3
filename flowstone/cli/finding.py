"""A run by its id, or by how the id begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.cli.places import shown
from flowstone.errors import RunNotFound

if TYPE_CHECKING:
    from flowstone.runs.records import RunRecord
    from flowstone.store import Store

__all__ = ["find_run"]


async def find_run(store: Store, beginning: str, url: str) -> RunRecord:
    """The one run whose id begins so; whatever the store holds, two questions.

    Raises:
        RunNotFound: There is none, or more than one.
    """
    exact = await store.run(beginning)
    if exact is not None:
        return exact
    found = await store.runs_beginning(beginning, limit=2)
    if len(found) > 1:
        raise RunNotFound(f"{beginning!r} begins more than one run: write more of the id.")
    if not found:
        raise RunNotFound(f"{shown(url)} knows no run {beginning!r}: `flowstone runs` lists them.")
    return found[0]
