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

STATES: Final = ("failed", "waiting", "late", "running", "stale", "ok", "never")
"""What tables of assets are filtered by."""

_ORDER: Final = ("ok", "stale", "run", "wait", "queue", "fail", "skipd", "cancel", "never")
_LOUDEST: Final = ("fail", "wait", "run", "queue", "skipd", "stale", "never")
_LOUD: Final = (("fail", "failed"), ("wait", "waiting"), ("run", "running"), ("queue", "queued"))
_STATE_OF: Final = {
    "fail": "failed",
    "wait": "waiting",
    "run": "running",
    "queue": "running",
    "stale": "stale",
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
    asset: Asset[..., Any], counts: Mapping[str, int], late: FreshnessStatus | None, stale: str = ""
) -> Standing:
    """How it stands.

    Args:
        asset: The asset.
        counts: How many of its partitions have which shape.
        late: Its freshness, if it is late or overdue.
        stale: Why its newest stale value is.
    """
    shape, word, note = _loudest(asset, counts, late, stale)
    state = "late" if late is not None and shape != "fail" else _STATE_OF.get(shape, "never")
    parts = tuple((each, counts[each]) for each in _ORDER if counts.get(each))
    return Standing(shape, word, note, state, parts)


def worst_of(shapes: Iterable[str]) -> str:
    """The loudest of the shapes of several assets."""
    found = set(shapes)
    return next((shape for shape in _LOUDEST if shape in found), "ok")


def _loudest(
    asset: Asset[..., Any], counts: Mapping[str, int], late: FreshnessStatus | None, stale: str
) -> tuple[str, str, str]:
    several, unit = asset.partitions is not None, unit_of(asset.partitions)
    for shape, word in _LOUD:
        if number := counts.get(shape, 0):
            return shape, f"{count(number, unit)} {word}" if several else word, ""
    if late is not None:
        return "wait", late.status, ""
    if number := counts.get("stale", 0):
        return "stale", f"{count(number, unit)} stale" if several else "stale", stale
    if counts.get("ok", 0):
        fresh = "fresh" if asset.freshness is not None else ("complete" if several else "made")
        missing = counts.get("never", 0)
        return "ok", f"{count(missing, unit)} missing" if missing else fresh, ""
    if counts.get("skipd", 0):
        return "skipd", "skipped", ""
    return "never", "never made" if counts else "no partitions yet", ""
