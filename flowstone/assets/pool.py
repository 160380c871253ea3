"""Pools: named slots that assets take while they run, so that only so many run at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowstone.assets.arguments import is_stored_name
from flowstone.assets.suggest import did_you_mean
from flowstone.counting import count
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from flowstone.assets.asset import SourceLine
    from flowstone.assets.signature import Site

__all__ = ["DefinedPool", "define_pool", "is_slots", "merge_pools", "slots_asked"]

_MOST_SLOTS = 1_000_000


@frozen
class DefinedPool:
    """A pool as a pipeline defines it.

    Attributes:
        name: Its name.
        slots: How many slots it has, unless they are set at run time.
        source: Where it is defined.
    """

    name: str
    slots: int
    source: SourceLine


def define_pool(name: Any, slots: Any, source: SourceLine) -> DefinedPool:
    """A pool, checked.

    Raises:
        DefinitionError: The name is no name, or it has no slots.
    """
    if not is_stored_name(name):
        raise DefinitionError(
            f"{source}: pool({name!r:.100}) takes a name, a non-empty str of at most 200 characters."
        )
    if not is_slots(slots):
        raise DefinitionError(
            f"{source}: pool({name!r}, slots={slots!r:.100}) takes a whole number of slots from 1 to "
            f"{_MOST_SLOTS:,}: what runs without a limit needs no pool."
        )
    return DefinedPool(name, slots, source)


def is_slots(value: object) -> bool:
    """Whether it is a number of slots that a pool can have, or an asset ask for."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_SLOTS


def merge_pools(into: dict[str, DefinedPool], pools: Mapping[str, DefinedPool]) -> None:
    """Add pools to others; one that is defined alike may come again.

    Raises:
        DefinitionError: Two have one name and not the same number of slots.
    """
    for name, pool in pools.items():
        present = into.get(name, pool)
        if present.slots != pool.slots:
            raise DefinitionError(
                f"The pool {name!r} has {count(present.slots, 'slot')} at {present.source} and {pool.slots:,} at "
                f"{pool.source}: it is one pool, so give it one number."
            )
    into.update({name: pool for name, pool in pools.items() if name not in into})


def slots_asked(given: Any, pools: Mapping[str, DefinedPool], where: Site) -> tuple[tuple[str, int], ...]:
    """The slots an asset takes of each pool, in the order of their names.

    Args:
        given: The name of a pool, or a mapping from names to numbers of slots.
        pools: Those of the pipeline.
        where: The asset that is being defined.

    Raises:
        DefinitionError: It is something else, there is no such pool, or it has fewer slots.
    """
    if isinstance(given, str):
        given = {given: 1}
    if not isinstance(given, Mapping) or not given:
        raise DefinitionError(
            f"{where}: pool={given!r:.100} takes the name of a pool, or how many slots of each: {{'name': 2}}."
        )
    for name, slots in given.items():
        pool = pools.get(name) if isinstance(name, str) else None
        if pool is None:
            hint = did_you_mean(str(name), pools)
            raise DefinitionError(
                f"{where}: there is no pool {name!r:.250}.{hint} Define it before the asset: "
                f"pipeline.pool({name!r:.250}, slots=…)."
            )
        if not is_slots(slots):
            raise DefinitionError(
                f"{where}: pool={{{name!r}: {slots!r:.100}}} takes a whole number of slots, at least 1."
            )
        if slots > pool.slots:
            raise DefinitionError(
                f"{where}: it asks for {count(slots, 'slot')} of the pool {name!r}, which has {pool.slots:,} "
                f"({pool.source}): it could never run. Ask for fewer, or give the pool more."
            )
    return tuple(sorted(given.items()))
