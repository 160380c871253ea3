"""Partitions as a strip and durations as a line: SVG that needs no script, drawn from few numbers.

Quiet states are a low band. What failed or waits rises above and below it, and is at least three pixels wide, so
that one bad day of a year is seen.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLUMNS", "sparkline", "strip"]

COLUMNS: Final = 400
"""A strip has at most so many columns; of more partitions several share one, which shows the worst of them."""

_WORST: Final = ("fail", "wait", "run", "queue", "never", "skipd", "cancel", "stale", "ok", "none")
_LOUD: Final = frozenset({"fail", "wait"})
_THIN: Final = frozenset({"skipd", "cancel"})
_HEIGHT: Final = 14


@lru_cache(maxsize=4096)
def strip(shapes: tuple[tuple[str, int], ...], label: str) -> Markup:
    """A strip of neighbours of one shape: shape and how many, in order."""
    columns = _columns(shapes)
    total = sum(length for _, length in columns) or 1
    paths: dict[str, list[str]] = defaultdict(list)
    place = 0
    for shape, length in columns:
        paths[shape].append(_box(shape, place, length, total))
        place += length
    drawn = sorted(paths, key=lambda shape: shape in _LOUD)
    body = "".join(f'<path class="f-{shape}" d="{"".join(paths[shape])}"/>' for shape in drawn)
    return Markup(  # noqa: S704 - made of numbers, names of shapes, and the label that is escaped here
        f'<svg class="strip pt" viewBox="0 0 {total} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}" height="{_HEIGHT}">{body}</svg>'
    )


def _box(shape: str, place: float, length: float, total: int) -> str:
    top, height = 3.0, 8.0
    if shape in _LOUD:
        top, height = 0.0, float(_HEIGHT)
        least = total / 110  # Three pixels of a strip of 330.
        if length < least:
            place, length = max(0.0, place - (least - length) / 2), least
    elif shape in _THIN:
        top, height = 6.0, 2.0
    return f"M{place:g} {top:g}h{length:g}v{height:g}h-{length:g}z"


def _columns(shapes: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    total = sum(length for _, length in shapes)
    if total <= COLUMNS:
        return list(shapes)
    worst = [len(_WORST)] * COLUMNS
    place = 0
    for shape, length in shapes:
        rank = _WORST.index(shape)
        for column in range(place * COLUMNS // total, (place + length - 1) * COLUMNS // total + 1):
            worst[column] = min(worst[column], rank)
        place += length
    return [(_WORST[rank], len(list(alike))) for rank, alike in groupby(worst)]


@lru_cache(maxsize=4096)
def sparkline(durations: tuple[float, ...], width: int = 64, height: int = 18) -> str:
    """The points of a line through these numbers, the last at its right end; empty if there are less than two."""
    if len(durations) < 2:
        return ""
    most, least = max(durations), min(durations)
    extent = most - least or 1.0
    step = (width - 2) / (len(durations) - 1)
    return " ".join(
        f"{1 + place * step:.1f},{height - 2 - (value - least) / extent * (height - 4):.1f}"
        for place, value in enumerate(durations)
    )
