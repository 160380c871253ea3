"""The calls of `Runtime` about one run: its steps, its attempts over time, and to compute again what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.errors import FlowstoneError
from flowstone.runtime.automating import Automating
from flowstone.runtime.client.handle import Run
from flowstone.runtime.client.once import checked_once
from flowstone.runtime.client.requests import bounded_count, page_of
from flowstone.runtime.client.result import checked_ending
from flowstone.runtime.client.retrying import retry_of
from flowstone.runtime.client.timeline import read_timeline
from flowstone.runtime.run.takeover import plan_again

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.runs.records import Materialization, RunRecord, Status
    from flowstone.runtime.client.timeline import Timeline

__all__ = ["RunDetails"]


class RunDetails(Automating):
    """The calls of `Runtime` about one run."""

    async def steps(
        self, run_id: str, status: Status | str | None = None, *, limit: int = 100, offset: int = 0
    ) -> Sequence[Materialization]:
        """The steps of a run that have ended, in the order in which they did.

        Args:
            run_id: The run's id.
            status: Only those that `succeeded`, `failed`, or were `skipped`, `reused` or `cancelled`. Default: all.
            limit: How many at most; default 100.
            offset: How many to leave out; default 0.

        Raises:
            RunNotFound: There is no such run.
            ValueError: No step ends in that status, or `limit` or `offset` is no whole number of at least 0.
        """
        ctx = self._started()
        limit, offset = page_of(limit, offset)
        ending = None if status is None else checked_ending(status)
        await self._client.record(run_id)
        return await ctx.store.steps(run_id, status=ending, offset=offset, limit=limit)

    async def step(self, run_id: str, asset: Any, partition: Any = None) -> Materialization | None:
        """What became of one step of a run; None as long as it has not ended, or if it is no part of the run.

        Args:
            run_id: The run's id.
            asset: Name, `Asset` or decorated function.
            partition: At which partition.

        Raises:
            RunNotFound: There is no such run.
            PartitionError: The partition is foreign to the asset.
        """
        ctx = self._started()
        name, key = await self._client.located(run_id, asset, partition)
        return None if name is None else await ctx.store.step(run_id, (name, key))

    async def timeline(self, run_id: str, *, after: int = 0, limit: int = 100_000) -> Timeline:
        """The attempts of a run with their times, or those that have changed since one asked last.

        Args:
            run_id: The run's id.
            after: The `position` of the answer before; 0, the default: all there is.
            limit: Of a run with more attempts, about so many of the newest.

        Raises:
            RunNotFound: There is no such run.
            ValueError: `after` is no whole number of at least 0, or `limit` no positive one.
        """
        ctx = self._started()
        after = bounded_count("after", after, least=0)
        limit = bounded_count("limit", limit)
        record = await self._client.record(run_id)
        totals = {} if after else await self._totals(record)
        return await read_timeline(ctx.store, record, totals, after, limit)

    async def retry(
        self, run_id: str, *, here: bool = False, by: str | None = None, once: str | None = None
    ) -> Run:
        """Start a new run of what failed in a run, was skipped because of it, or was cancelled.

        It has the request of the old run, its config, tags and priority, and names it (`request.retry_of`). What
        succeeded there and still has a value is reused; what was skipped by choice is not tried again by itself.
        Of a run that goes on, it is what has failed so far.

        Args:
            run_id: The run's id.
            here: Whether this process drives the new run, instead of any node of the store. It then ends with this
                process at the latest.
            by: Who asks for it. Default: whoever the runtime acts for (`actor=`).
            once: Text of at most 200 characters: whoever retries the same run again with it is given the run that
                there is, whether that has ended or not.

        Returns:
            The handle of the new run.

        Raises:
            RunNotFound: There is no such run.
            ArgumentError: Nothing of it has failed, been skipped or cancelled; or `by` is no text.
            DefinitionError: An asset of it is gone.
            PartitionError: Its partitions are gone.
            RuntimeStopping: The runtime drains.
        """
        ctx = self._started()
        record = await self._client.record(run_id)
        view, request = await retry_of(ctx, record, self._client.asker(by))
        if here:
            return Run((await self._client.start(view, request)).record.id, self._client)

        async def start(new_id: str | None = None) -> tuple[str, bool]:
            return await self._client.submit(view, request, None, record.priority, run_id=new_id)

        name = checked_once(once, None, join=False)
        started = start() if name is None else self._client.once.run(name, f"retry {run_id}", start)
        new_id, submitted = await started
        return Run(new_id, self._client, submitted=submitted)

    async def _totals(self, record: RunRecord) -> Mapping[str, int]:
        """How many steps of each asset a run has; empty where the definitions have changed."""
        try:
            plan = await plan_again(self._started(), record)
        except FlowstoneError:
            return {}
        return {each.asset: each.end - each.offset for each in plan.assets}
