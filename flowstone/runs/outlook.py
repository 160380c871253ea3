"""What would become of the steps of a plan: which are computed and why, and how long that takes. Pure.

A plan may have a million steps, so nothing here has an entry for each. What is not written down is true of all
others: a step that is neither in `reasons` nor in `kept` has the reason `otherwise`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.runs.reasons import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runs.plan import RunPlan
    from flowstone.runs.reasons import Reason, ReasonKind
    from flowstone.runs.records import StepKey

__all__ = ["EVERYTHING", "Outlook", "Span", "spans_of"]


@frozen
class Outlook:
    """Which steps of a plan are computed, and why.

    Attributes:
        reasons: Why these steps are computed.
        kept: By asset the keys of the steps that are reused.
        otherwise: Why all other steps are computed, or None if they are reused.
    """

    reasons: Mapping[StepKey, Reason]
    kept: Mapping[str, frozenset[str | None]]
    otherwise: Reason | None

    def reason(self, key: StepKey) -> Reason | None:
        """Why a step is computed, or None if it is reused."""
        found = self.reasons.get(key)
        if found is not None or self.otherwise is None or key[1] in self.kept.get(key[0], ()):
            return found
        return self.otherwise

    def tally(self, plan: RunPlan) -> dict[str, Counter[ReasonKind]]:
        """By asset, how many of its steps have which reason."""
        tally: dict[str, Counter[ReasonKind]] = {each.asset: Counter() for each in plan.assets}
        for (asset, _), reason in self.reasons.items():
            tally[asset][reason.kind] += 1
        for each in plan.assets:
            counted = tally[each.asset]
            if self.otherwise is not None:
                counted["fresh"] = len(self.kept.get(each.asset, ()))
            rest: ReasonKind = "fresh" if self.otherwise is None else self.otherwise.kind
            counted[rest] += each.end - each.offset - counted.total()
        return tally

    def exceptions(self) -> list[tuple[str, str]]:
        """The steps that do not go as all others do, as texts, in an order that depends on nothing else."""
        if self.otherwise is None:
            return sorted((asset, str(key)) for asset, key in self.reasons)
        return sorted((asset, str(key)) for asset, keys in self.kept.items() for key in keys)

    def runs_the_same(self, other: Outlook) -> bool:
        """Whether the same steps are computed, for whatever reason, in plans of the same steps."""
        if (self.otherwise is None) != (other.otherwise is None):
            return False
        if self.otherwise is None:
            return self.reasons.keys() == other.reasons.keys()
        return {k: v for k, v in self.kept.items() if v} == {k: v for k, v in other.kept.items() if v}


EVERYTHING: Final = Outlook({}, {}, ALL)


@frozen
class Span:
    """When the steps of an asset run, in seconds from the start of the run.

    Attributes:
        starts: When the first begins.
        ends: When the last ends.
    """

    starts: float
    ends: float


def spans_of(
    plan: RunPlan, runs: Mapping[str, int], seconds: Mapping[str, float], parallel: int
) -> tuple[dict[str, Span], float]:
    """When the steps of each asset would run, and how long all take: by their work, and by what waits for what.

    It is a rough picture: an asset begins as soon as one step of what it needs may be done, and ends no earlier
    than a step after that. Which step waits for which is not looked at. The whole takes as long as the longest
    chain, or as all work does, so many steps at a time.

    Args:
        plan: The plan.
        runs: How many steps of each asset are computed.
        seconds: How long a step of each asset takes, as far as that is known.
        parallel: Steps that run at a time.
    """
    spans: dict[str, Span] = {}
    chain: dict[str, float] = {}  # The longest up to and with a step of the asset.
    work = 0.0
    for part in plan.assets:
        each, number = seconds.get(part.asset, 0.0), runs.get(part.asset, 0)
        needs = {dependency.asset for dependency in part.dependencies}
        upstream = needs - {part.asset}
        alone = each * (number if part.asset in needs else min(number, 1))
        starts = max((chain[name] for name in upstream), default=0.0)
        chain[part.asset] = starts + alone
        work += each * number
        behind = max((spans[name].ends for name in upstream), default=0.0)
        ends = max(behind + alone, starts + each * number / parallel)
        spans[part.asset] = Span(starts, ends if number else starts)
    return spans, max(work / parallel, *chain.values(), 0.0)
