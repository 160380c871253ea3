"""The calls of `Client` that start runs: with a key of their own, so that a lost answer starts none twice.

materialize, materialize_all, backfill      start a run and wait for it, over any number of connections
submit, submit_backfill, retry              start a run and return its handle
plan                                        starts none

A request that is sent again because its answer was lost has the same `Idempotency-Key`: the server knows it, and
answers with the run that there is. With `key` or `join` the server may answer with the run of somebody else, and
takes no such key: that request is sent again only if nothing was sent the first time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from inspect import isawaitable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from flowstone.client.arguments import asset_text, config_json, is_several, partition_text, partition_texts
from flowstone.client.asking import Asking
from flowstone.client.plan import RemotePlan
from flowstone.errors import FlowstoneError, RunCancelled
from flowstone.runs.events import RunCancelRequested, RunStarted
from flowstone.runs.records import Status
from flowstone.runtime.client.failure_errors import materialization_failed
from flowstone.runtime.client.progress import Progress
from flowstone.runtime.client.requests import checked_patience
from flowstone.wire.plans import PlanModel, PlannedStepModel
from flowstone.wire.runs import RunModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from flowstone.assets.config import Config
    from flowstone.runs.records import Materialization, Refresh
    from flowstone.runtime.client.handle import Run
    from flowstone.runtime.client.result import RunResult

__all__ = ["Starting"]

_NO_TAGS: Mapping[str, str] = MappingProxyType({})
_MOST_STEPS: Final = 10_000
"""Steps of a plan that are loaded."""

_TO_CANCEL: Final = 10.0
"""Seconds that a call which is cancelled takes to have its run stopped."""


class Starting(Asking):
    """The calls of `Client` that start runs, and `plan`, which starts none."""

    async def materialize(
        self,
        asset: Any,
        *,
        partition: Any = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> Materialization | RunResult:
        """As `Runtime.materialize`: computes this asset only, or these only, and waits for the end.

        With `join` the run goes on when this call is cancelled or its `timeout` is over, whatever
        `cancel_when_unwanted` says: others may wait for it, which the server alone knows.
        """
        patience = checked_patience("timeout", timeout) if join else None
        run = await self._begun(
            self.submit,
            asset,
            partition=partition,
            upstream=False,
            timeout=None if join else timeout,
            config=config,
            tags=tags,
            by=by,
            join=join,
        )
        unwanted = run.submitted or cancel_when_unwanted
        await self._waited_for(run, cancels=unwanted and not join, patience=patience)
        if is_several(asset):
            return await self._ended(run, None if join else timeout)
        record = await self._runs.patiently(run.record)
        asset, key = record.asset, record.request.keys[0]
        step = await self._runs.patiently(lambda: self._runs.step(run.id, asset, key))
        if record.status is Status.CANCELLED or step is None:
            await self._raise_if_timed_out(run, None if join else timeout)
            raise RunCancelled(f"Run {run.id} of {record.asset!r} was cancelled.", run.id)
        if step.failure is not None and step.status is not Status.SKIPPED:
            raise materialization_failed(step)
        return step

    async def materialize_all(
        self,
        asset: Any,
        *,
        partition: Any = None,
        refresh: Refresh = "all",
        max_parallel: int | None = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        join: bool = False,
        cancel_when_unwanted: bool = False,
    ) -> RunResult:
        """As `Runtime.materialize_all`: computes the asset and everything upstream, and waits for the end.

        With `join` the run goes on as that of `materialize` does.
        """
        patience = checked_patience("timeout", timeout) if join else None
        run = await self._begun(
            self.submit,
            asset,
            partition=partition,
            refresh=refresh,
            max_parallel=max_parallel,
            timeout=None if join else timeout,
            config=config,
            tags=tags,
            by=by,
            join=join,
        )
        unwanted = run.submitted or cancel_when_unwanted
        await self._waited_for(run, cancels=unwanted and not join, patience=patience)
        return await self._ended(run, None if join else timeout)

    async def backfill(
        self,
        asset: Any,
        *,
        partitions: Iterable[Any] | None = None,
        start: Any = None,
        end: Any = None,
        max_parallel: int | None = 4,
        upstream: bool = False,
        refresh: Refresh = "missing",
        on_progress: Callable[[Progress], Any] | None = None,
        raise_on_failure: bool = False,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
    ) -> RunResult:
        """As `Runtime.backfill`: computes many partitions in one run, and waits for the end."""
        listed = None if partitions is None else list(partitions)
        run = await self._begun(
            self.submit_backfill,
            asset,
            partitions=listed,
            start=start,
            end=end,
            max_parallel=max_parallel,
            upstream=upstream,
            refresh=refresh,
            config=config,
            tags=tags,
            by=by,
        )
        await self._waited_for(run, cancels=True, on_progress=on_progress)
        result = await run.result()
        if raise_on_failure or result.status is Status.CANCELLED:
            await self._runs.judge(result, None)
        return result

    async def submit(
        self,
        asset: Any,
        *,
        partition: Any = None,
        upstream: bool = True,
        refresh: Refresh = "all",
        max_parallel: int | None = None,
        timeout: float | None = None,
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        key: str | None = None,
        priority: int = 0,
        join: bool = False,
        once: str | None = None,
    ) -> Run:
        """As `Runtime.submit`: starts a run and returns its handle at once."""
        body = {
            "asset": asset_text(asset),
            "kind": "materialize",
            "partition": partition_text(partition),
            "upstream": upstream,
            "refresh": refresh,
            "max_parallel": max_parallel,
            "timeout": timeout,
            "config": config_json(config),
            "tags": dict(tags),
            "by": by,
            "key": key,
            "priority": priority,
            "join": join,
        }
        return await self._started("runs", body=body, once=once, shared=key is not None or join)

    async def submit_backfill(
        self,
        asset: Any,
        *,
        partitions: Iterable[Any] | None = None,
        start: Any = None,
        end: Any = None,
        max_parallel: int | None = 4,
        upstream: bool = False,
        refresh: Refresh = "missing",
        config: Mapping[str, Any] | Config | None = None,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        key: str | None = None,
        priority: int = 0,
        once: str | None = None,
    ) -> Run:
        """As `Runtime.submit_backfill`: starts a backfill and returns its handle at once."""
        body = {
            "asset": asset_text(asset),
            "kind": "backfill",
            "partitions": partition_texts(partitions),
            "start": partition_text(start),
            "end": partition_text(end),
            "max_parallel": max_parallel,
            "upstream": upstream,
            "refresh": refresh,
            "config": config_json(config),
            "tags": dict(tags),
            "by": by,
            "key": key,
            "priority": priority,
        }
        return await self._started("runs", body=body, once=once, shared=key is not None)

    async def retry(self, run_id: str, *, by: str | None = None, once: str | None = None) -> Run:
        """As `Runtime.retry`: starts a run of what failed in another one, was skipped or cancelled."""
        return await self._started("runs", run_id, "retry", body={"by": by}, once=once)

    async def plan(
        self,
        asset: Any,
        *,
        partition: Any = None,
        partitions: Iterable[Any] | None = None,
        start: Any = None,
        end: Any = None,
        upstream: bool | None = None,
        refresh: Refresh | None = None,
        config: Mapping[str, Any] | Config | None = None,
        max_parallel: int | None = None,
    ) -> RemotePlan:
        """As `Runtime.plan`: what would run and why; nothing is executed.

        Returns:
            A sequence of planned steps; of a very large plan the first 10,000.
        """
        body = {
            "asset": asset_text(asset),
            "partition": partition_text(partition),
            "partitions": partition_texts(partitions),
            "start": partition_text(start),
            "end": partition_text(end),
            "upstream": upstream,
            "refresh": refresh,
            "config": config_json(config),
            "max_parallel": max_parallel,
        }
        asked = {name: value for name, value in body.items() if value is not None}
        pages = self._transport.posted_pages(PlanModel, "plan", body=asked)
        first: PlanModel | None = None
        steps: list[PlannedStepModel] = []
        async for told in pages:
            first = first or told
            steps += told.items
            if len(steps) >= _MOST_STEPS:
                break
        assert first is not None, "there is a first page"
        return RemotePlan(first, [each.as_record() for each in steps], asked)

    async def run_plan(
        self,
        plan: RemotePlan,
        *,
        tags: Mapping[str, str] = _NO_TAGS,
        by: str | None = None,
        key: str | None = None,
        priority: int = 0,
    ) -> Run:
        """As `Runtime.run_plan`: starts what a plan of `Client.plan` says, or raises `PlanOutdated`.

        Nobody knows such a request again: after an answer that was lost it raises `ServerUnavailable`, and `runs`
        says whether the run was started; with `key=` it may be asked again.
        """
        body = {**plan.asked, "digest": plan.digest, "tags": dict(tags), "key": key, "priority": priority}
        if by is not None:
            body["by"] = by
        created, told = await self._transport.posted(RunModel, "plan", "run", body=body)
        return self._handle(told.id, submitted=created)

    # Inside -------------------------------------------------------------------------------------------------

    async def _begun(self, submit: Callable[..., Awaitable[Run]], asset: Any, **about: Any) -> Run:
        """Start a run for a caller who waits for it; if they are cancelled before it has an id, so is the run."""
        once = None if about.get("join") else secrets.token_hex(16)
        try:
            run = await submit(asset, once=once, **about)
        except asyncio.CancelledError:
            if once is not None:
                await self._stopped(lambda: submit(asset, once=once, **about))
            raise
        return run if once is None else self._handle(run.id, submitted=True)

    async def _ended(self, run: Run, timeout: float | None) -> RunResult:
        """What a run gave that has ended; raises what became of one that did not succeed."""
        result = await run.result()
        if result.status is Status.CANCELLED:
            await self._raise_if_timed_out(run, timeout)
        await self._runs.judge(result, None)
        return result

    async def _started(
        self, *path: str, body: dict[str, Any] | None, once: str | None, shared: bool = False
    ) -> Run:
        """Start a run. `shared`: the run may be one that others have started."""
        own = None if shared or once is not None else secrets.token_hex(16)
        given = None if body is None else {name: value for name, value in body.items() if value is not None}
        if given is not None and body is not None and body.get("kind") == "backfill":
            given["max_parallel"] = body["max_parallel"]  # None is `max_concurrency`; to say nothing is 4.
        created, told = await self._transport.posted(RunModel, *path, body=given, key=once or own)
        # Nobody else has a key that was made here: if there was a run already, its answer was lost.
        return self._handle(told.id, submitted=created or own is not None)

    async def _waited_for(
        self,
        run: Run,
        *,
        cancels: bool,
        patience: float | None = None,
        on_progress: Callable[[Progress], Any] | None = None,
    ) -> None:
        """Wait for the end, or for `patience` seconds; a cancelled call that `cancels` has its run stopped."""
        within = asyncio.timeout(patience)
        try:
            async with within:
                if on_progress is None:
                    await self._runs.ended(run.id)
                else:
                    await self._reported(run, on_progress)
        except TimeoutError as error:
            if not within.expired():
                raise
            raise TimeoutError(f"Run {run.id} has not ended within {patience:g} s; it goes on.") from error
        except asyncio.CancelledError:
            if cancels:
                await self._stopped(lambda: self.run(run.id))
            raise

    async def _stopped(self, find: Callable[[], Awaitable[Run]]) -> None:
        """Have a run stopped for a caller who has been cancelled, within reason."""
        try:
            async with asyncio.timeout(_TO_CANCEL):
                await (await find()).cancel()
        except (FlowstoneError, TimeoutError):
            return  # The server was told, or cannot be.

    async def _reported(self, run: Run, on_progress: Callable[[Progress], Any]) -> None:
        total, tally = 0, Counter[str]()
        async for event in run.events():
            if isinstance(event, RunStarted):
                total = event.total
            record = getattr(event, "materialization", None)
            if record is None:
                continue
            tally[record.status.value] += 1
            counts = {status.value: tally[status.value] for status in Status if status.terminal}
            answer = on_progress(Progress(run.id, tally.total(), total, step=record, **counts))
            if isawaitable(answer):
                await answer

    async def _raise_if_timed_out(self, run: Run, timeout: float | None) -> None:
        """Raise `TimeoutError` for a run that was cancelled because its time was over."""
        if timeout is None:
            return
        async for event in self._runs.on_record(run.id):
            if isinstance(event, RunCancelRequested):
                if event.reason == "timeout":
                    raise TimeoutError(
                        f"Run {run.id} took longer than its timeout of {timeout:g} s and was cancelled."
                    )
                return
