"""How an asset stands, in one shape and a few words: the loudest thing that is true of any of its partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.counting import count
from flowstone.frozen import frozen
from flowstone.server.views.partition_shapes import unit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.assets.asset import Asset
    from flowstone.runs.asset_freshness import FreshnessStatus

__all__ = ["STATES", "Standing", "standing_of", "worst_of"]

STATES: Final = ("failed", "waiting", "late", "running", "stale", "incomplete", "ok", "never")
"""What tables of assets are filtered by."""

_ORDER: Final = ("ok", "stale", "run", "wait", "queue", "fail", "skipd", "cancel", "never")
_LOUDEST: Final = ("fail", "wait", "run", "queue", "stale", "skipd", "cancel", "never")
_LOUD: Final = (("fail", "failed"), ("wait", "waiting"), ("run", "running"), ("queue", "queued"))
_LACKING: Final = (("stale", "stale"), ("skipd", "skipped"), ("cancel", "cancelled"))
_STATE_OF: Final = {
    "fail": "failed",
    "wait": "waiting",
    "run": "running",
    "queue": "running",
    "stale": "stale",
    "skipd": "incomplete",
    "cancel": "incomplete",
    "ok": "ok",
}


@frozen
class Standing:
    """How an asset stands.

    Attributes:
        shape: The shape of it.
        word: The same in words.
        note: What belongs to that, or empty.
        state: Which of `STATES` it is.
        parts: How many partitions there are of each shape, those with a value first.
    """

    shape: str
    word: str
    note: str
    state: str
    parts: tuple[tuple[str, int], ...]


def standing_of(
    asset: Asset[..., Any],
    counts: Mapping[str, int],
    late: FreshnessStatus | None,
    stale: str = "",
    by_choice: int = 0,
) -> Standing:
    """How it stands.

    Args:
        asset: The asset.
        counts: How many of its partitions have which shape.
        late: Its freshness, if it is late or overdue.
        stale: Why its newest stale value is.
        by_choice: How many of those that are skipped chose to be.
    """
    shape, word, note = _loudest(asset, counts, late, stale, by_choice)
    state = _STATE_OF.get(shape, "incomplete" if counts.get("ok") else "never")
    if late is not None and shape != "fail":
        state = "late"
    parts = tuple((each, counts[each]) for each in _ORDER if counts.get(each))
    return Standing(shape, word, note, state, parts)


def worst_of(shapes: Iterable[str]) -> str:
    """The loudest of the shapes of several assets."""
    found = set(shapes)
    return next((shape for shape in _LOUDEST if shape in found), "ok")


def _loudest(
    asset: Asset[..., Any],
    counts: Mapping[str, int],
    late: FreshnessStatus | None,
    stale: str,
    by_choice: int,
) -> tuple[str, str, str]:
    several, unit = asset.partitions is not None, unit_of(asset.partitions)
    left = {**counts, "skipd": counts.get("skipd", 0) - by_choice}
    for shape, word in _LOUD if late is not None else (*_LOUD, *_LACKING):
        if (number := left.get(shape, 0)) > 0:
            said = f"{count(number, unit)} {word}" if several else word
            return shape, said, stale if shape == "stale" else ""
    if late is not None:
        return "wait", late.status, ""
    missing = counts.get("never", 0)
    if missing or not counts:
        some = several and missing < sum(counts.values())
        words = f"{count(missing, unit)} missing" if some else "never made"
        return "never", words if counts else "no partitions yet", ""
    if by_choice:
        return "ok", f"{count(by_choice, unit)} skipped by choice" if several else "skipped by choice", ""
    return "ok", "current", ""
