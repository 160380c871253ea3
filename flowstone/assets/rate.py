"""Rates: how often something may be done, which assets keep to before they start, or within their functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.arguments import is_number, is_stored_name
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.assets.asset import SourceLine
    from flowstone.assets.signature import Site

__all__ = ["DefinedRate", "define_rate", "merge_rates", "rate_asked"]

_LONGEST = 86_400.0 * 366
_SHORTEST = 1e-6


@frozen
class DefinedRate:
    """A rate as a pipeline defines it.

    Attributes:
        name: Its name.
        limit: How many turns there are within `per` seconds.
        per: Seconds.
        source: Where it is defined.
    """

    name: str
    limit: int
    per: float
    source: SourceLine


def define_rate(name: Any, limit: Any, per: Any, source: SourceLine) -> DefinedRate:
    """A rate, checked.

    Raises:
        DefinitionError: The name is no name, or the rate cannot be kept.
    """
    if not is_stored_name(name):
        raise DefinitionError(
            f"{source}: rate({name!r:.100}) takes a name, a non-empty str of at most 200 characters."
        )
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise DefinitionError(
            f"{source}: rate({name!r}, limit={limit!r:.100}) takes a whole number, at least 1; for less than one a "
            f"second make per= longer."
        )
    if not is_number(per, at_least=_SHORTEST, at_most=_LONGEST) or per / limit < _SHORTEST:
        raise DefinitionError(
            f"{source}: rate({name!r}, per={per!r:.100}) takes seconds, at most a year, and no more than a million "
            f"turns a second."
        )
    return DefinedRate(name, limit, float(per), source)


def merge_rates(into: dict[str, DefinedRate], rates: Mapping[str, DefinedRate]) -> None:
    """Add rates to others; one that is defined alike may come again.

    Raises:
        DefinitionError: Two have one name and differ.
    """
    for name, rate in rates.items():
        present = into.get(name, rate)
        if (present.limit, present.per) != (rate.limit, rate.per):
            raise DefinitionError(
                f"The rate {name!r} is {present.limit} per {present.per:g} s at {present.source} and "
                f"{rate.limit} per {rate.per:g} s at {rate.source}: give it one."
            )
    into.update({name: rate for name, rate in rates.items() if name not in into})


def rate_asked(given: Any, rates: Mapping[str, DefinedRate], where: Site) -> str:
    """The name of the rate that an asset keeps to.

    Raises:
        DefinitionError: There is no such rate.
    """
    if isinstance(given, str) and given in rates:
        return given
    hint = did_you_mean(str(given), rates)
    raise DefinitionError(
        f"{where}: there is no rate {given!r:.250}.{hint} Define it before the asset: "
        f"pipeline.rate({given!r:.250}, limit=…, per=…)."
    )
