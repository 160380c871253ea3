"""Turns a mistyped name into "did you mean …?": one wording for every error about an unknown name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "suggest"]


def suggest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name`, or None when nothing is near enough to be a likely typing error."""
    names = list(candidates)
    by_folded = {candidate.casefold(): candidate for candidate in reversed(names)}
    if (same := by_folded.get(name.casefold())) is not None:
        return same
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return nearest[0] if nearest else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A sentence with a leading space to append to an error message; empty when there is no suggestion."""
    nearest = suggest(name, candidates)
    return "" if nearest is None else f" Did you mean {nearest!r}?"
