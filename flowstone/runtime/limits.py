"""What limits how many steps run at a time, as callers see and set it: pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.assets.pool import is_slots
from flowstone.assets.suggest import did_you_mean
from flowstone.counting import count
from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies
from flowstone.runtime.decisions import Decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.pools import Pool

__all__ = ["Limits"]


class Limits(Decisions):
    """The calls of `Runtime` about pools."""

    async def pools(self) -> Sequence[Pool]:
        """Pools by name, with who holds their slots and how many steps wait: those of the pipelines.

        Where several nodes share a store, those of all of them.

        Raises:
            StoreUnavailable: The store is away.
            RuntimeStopping: The runtime is not running.
        """
        ctx = self._started()
        return await ctx.admission.pools.show(dict(ctx.snapshot.pools))

    async def set_pool(self, name: str, *, slots: int | None, by: str | None = None) -> Pool:
        """Give a pool another number of slots, on all nodes and after a restart. Whoever holds one keeps it.

        Args:
            name: The pool's name.
            slots: How many, at least as many as any asset asks for; None: as many as its pipeline says.
            by: Who does it. Default: whoever the runtime acts for (`actor=`).

        Returns:
            The pool as it is now.

        Raises:
            ArgumentError: There is no such pool, or it would have too few slots; or `by` is no text.
            RuntimeStopping: The runtime is not running.
            StoreUnavailable: The store is away.
        """
        ctx = self._started()
        known = dict(ctx.snapshot.pools)
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise ArgumentError(
                f"There is no pool {name!r:.250}.{hint}",
                remedies=Remedies(
                    f"Define it: pipeline.pool({name!r:.250}, slots=…).",
                    f"Define it: pipeline.pool({name!r:.250}, slots=…).",
                    "`GET /api/v1/pools` lists them.",
                ),
            )
        if not (slots is None or is_slots(slots)):
            raise ArgumentError(f"set_pool({name!r}, slots={slots!r:.100}) takes a whole number, at least 1.")
        for asset in ctx.snapshot.graph.assets.values():
            asked = dict(asset.pools).get(name, 0)
            if slots is not None and asked > slots:
                raise ArgumentError(
                    f"The pool {name!r} cannot have {count(slots, 'slot')}: asset {asset.name!r} ({asset.source}) "
                    f"asks for {asked:,} and could never run."
                )
        await ctx.admission.pools.set(name, slots, self._client.act(by))
        shown = await ctx.admission.pools.show([name])
        return next(pool for pool in shown if pool.name == name)
