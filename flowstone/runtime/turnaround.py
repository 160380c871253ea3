"""How long steps of an asset take on the own node and on others: what tells whether lending them is worth it."""

from __future__ import annotations

__all__ = ["Turnaround"]

_NEWEST = 0.2  # The weight of the newest of all measurements.
_LONG = 0.020  # Seconds; a step that takes longer is lent whatever its lease takes.
_WORTH = 2.0  # A shorter one, if it takes no more than so many times as long elsewhere.
_PROBE = 64  # Of so many steps that had better stay one is lent.


class Turnaround:
    """Averages of the time from the order to start a step to its known end, by asset.

    A lease takes some milliseconds to be given and to be answered. A step that is done in less had better stay.
    When the own node is overloaded its steps take longer, and lending them is worth it again. Now and then one is
    lent all the same, because the other node may have been slow only at first.
    """

    def __init__(self) -> None:
        self._here: dict[str, float] = {}
        self._elsewhere: dict[str, float] = {}
        self._stayed: dict[str, int] = {}

    def took_here(self, asset: str, seconds: float) -> None:
        """A step that ran on the own node has ended."""
        _add(self._here, asset, seconds)

    def took_elsewhere(self, asset: str, seconds: float) -> None:
        """A step that was lent has ended."""
        _add(self._elsewhere, asset, seconds)

    def worth_lending(self, asset: str) -> bool:
        """Whether another node is quick enough, or it is time to see; called once a step."""
        here, elsewhere = self._here.get(asset), self._elsewhere.get(asset)
        if here is None or elsewhere is None or here >= _LONG or elsewhere <= here * _WORTH:
            return True
        stayed = self._stayed[asset] = self._stayed.get(asset, 0) + 1
        return stayed % _PROBE == 0


def _add(averages: dict[str, float], asset: str, seconds: float) -> None:
    before = averages.get(asset)
    averages[asset] = seconds if before is None else before + (seconds - before) * _NEWEST
