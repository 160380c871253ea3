"""One measured figure, its baseline, its target, and the verdict that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Figure", "Verdict"]

Verdict = Literal["stretch", "met", "MISSED", "-"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the report.

    Attributes:
        name: What was done.
        unit: What `ours` and `bare` count, e.g. `µs/step`.
        ours: FlowStone's figure; less is better.
        bare: The same work done by the least program that does it, in the same run; None where there is none.
        at_most: The largest acceptable `ours`, in `unit`; None: judged by ratio, or not at all.
        ratio_at_most: The largest acceptable `ours / bare`; None: judged by value, or not at all.
        stretch: The ratio or value that would please us.
    """

    name: str
    unit: str
    ours: float
    bare: float | None = None
    at_most: float | None = None
    ratio_at_most: float | None = None
    stretch: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times the baseline."""
        return self.ours / self.bare if self.bare else None

    @property
    def target(self) -> str:
        """The target as text."""
        if self.ratio_at_most is not None:
            return f"≤ {self.ratio_at_most:g}× bare"
        return "" if self.at_most is None else f"≤ {self.at_most:g} {self.unit}"

    @property
    def verdict(self) -> Verdict:
        """Whether the target was met; `-` where there is none."""
        limit = self.at_most if self.ratio_at_most is None else self.ratio_at_most
        judged = self.ours if self.ratio_at_most is None else self.ratio
        if limit is None or judged is None:
            return "-"
        if judged > limit:
            return "MISSED"
        return "stretch" if self.stretch is not None and judged <= self.stretch else "met"
