"""An attempt of a step as it is recorded: what it is an attempt of, what it noted, and the event that ends it.

Whatever goes wrong on the way of an attempt (attempt.py) is a failure with a kind, or nothing if it was stopped;
here that becomes the one event that says how it ended. One that was told to stop ends as *stopped*, whatever came
of it meanwhile, and one that was to be retried says so. What the store will not have is recorded as a failure.
"""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from flowstone.actors import Crashed
from flowstone.assets.partition_labels import partition_label
from flowstone.errors import IOManagerError
from flowstone.runs import endings
from flowstone.runs.events import StepCancelled, StepFailed, StepRetried, StepSucceeded, StepWaiting
from flowstone.runs.records import Failure
from flowstone.runs.retry_policy import next_delay
from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.applicant import StepApplicant
from flowstone.store.cluster import Notification
from flowstone.store.json_safe import json_safe
from flowstone.store.protocol import StaleWrite, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flowstone.actors import Exit
    from flowstone.assets.asset import Asset
    from flowstone.runs.endings import AttemptEnd
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import Input
    from flowstone.runtime.context import RuntimeContext

__all__ = ["AttemptIdentity", "RecordedAttempt"]

AttemptIdentity = tuple[str, str, str | None, int]
"""Run, asset, partition key and number."""


class RecordedAttempt(StepApplicant):
    """What is on record of an attempt, or will be.

    Attributes:
        exclusive: Whether no other step of this process may run beside it.
        epoch: The epoch of its run, under which it records what happens; raised if the run changes its owner
            while another node, this one, goes on with the attempt.
        stopping: Why it was told to stop: the run is being `cancelled`, its `timeout` is over, or its node's
            `shutdown` leaves it to another one.
        over: Set when its task has ended, by whatever means; nothing may be recorded from then on.
        inputs: The upstream values that were loaded for it.
        started_at: When it started, or None.
        config: All fields of the config that its function takes, as JSON, or None.
    """

    # The class's until they change: what most attempts never have takes no time of theirs.
    stopping: Literal["cancelled", "timeout", "shutdown"] | None = None
    over = False
    started_at: datetime | None = None
    config: Mapping[str, Any] | None = None
    inputs: tuple[Input, ...] = ()
    _metadata: Mapping[str, Any] = MappingProxyType({})
    _payload: bytes | None = None

    def __init__(
        self,
        ctx: RuntimeContext,
        plan: RunPlan,
        run_id: str,
        epoch: int,
        step: int,
        number: int,
        *,
        exclusive: bool = False,
        failed: int = 0,
    ) -> None:
        self._asset_plan = asset_plan = plan.of(step)
        self.asset_name, self.partition, self.key = asset_plan.step(step)
        self.asset: Asset[..., Any] = plan.graph.assets[self.asset_name]
        asset = self.asset
        self.version = asset.version
        self.io = asset.io
        self.run_id = run_id
        self.epoch = epoch
        self.step = step
        self.number = number
        self.exclusive = exclusive
        self._ctx = ctx
        self._plan = plan
        self._failed_before = failed
        if asset.pools or asset.rate:
            self.pools, self.rate = asset.pools, asset.rate
        if asset.config_parameter is not None:
            self.config = plan.configs[self.asset_name].record

    @property
    def name(self) -> str:
        """`asset` or `asset[key]`, as people know the step."""
        return (
            self.asset.name if self.key is None else f"{self.asset.name}[{partition_label(self.partition)}]"
        )

    @property
    def metadata(self) -> Any:
        """What the asset noted, as JSON: the record says the same everywhere, whatever the store."""
        return json_safe(self._metadata) if self._metadata else {}

    @property
    def identity(self) -> AttemptIdentity:
        """What tells it from every other attempt."""
        return self.run_id, self.asset.name, self.key, self.number

    # The end ------------------------------------------------------------------------------------------------

    def killed(self, how: Exit) -> AttemptEnd:
        """The event for an attempt whose task was killed, or crashed: it could not record its own end."""
        limit = self._ctx.settings.cancel_timeout
        words = f"{self.name} did not stop within {limit:g} s after it was told to; it was abandoned."
        if self.stopping == "timeout":
            failure = Failure("timeout", f"{self._timed_out()} {words}", retryable=self._retries_timeouts())
            return self._failed(failure)
        if self.stopping == "cancelled":
            return self._cancelled(Failure("abandoned", words))
        if self.stopping == "shutdown":
            return self.handed_over()
        if isinstance(how, Crashed):
            return self._failed(describe(how.error, self.asset.retry))
        return self._failed(Failure("error", f"The attempt of {self.name} ended without an outcome: {how}."))

    def _ending(self, result: StepSucceeded | StepWaiting | Failure | None) -> AttemptEnd:
        if self.stopping == "cancelled":
            return self._cancelled(None)
        if self.stopping == "timeout":
            return self._failed(Failure("timeout", self._timed_out(), retryable=self._retries_timeouts()))
        if self.stopping == "shutdown" and not isinstance(result, StepSucceeded | StepWaiting):
            return self.handed_over()
        assert result is not None
        if isinstance(result, Failure) and result.kind == "skip":
            return endings.declined(self, self._ctx.clock.now(), result)
        return self._failed(result) if isinstance(result, Failure) else result

    def _failed(self, failure: Failure) -> StepFailed | StepRetried:
        # Attempts that went with a process, or were stopped with one, were not the asset's fault.
        tried = self._failed_before + 1
        delay = next_delay(self.asset.retry, tried, failure, self._ctx.random)
        now = self._ctx.clock.now()
        if delay is not None:
            return endings.retried(self, now, failure, delay)
        return endings.failed(self, now, failure)

    def handed_over(self) -> StepRetried:
        """The event for an attempt whose node goes away: the next one is another node's."""
        return endings.handed_over(self, self._ctx.clock.now())

    def refused(self, error: StoreRefused) -> AttemptEnd:
        """The event for an attempt whose end the store would not have, whatever it was: it is not retried."""
        return self._failed(self._refused(error))

    def withdrawn(self) -> StepCancelled:
        """The event for an attempt that was cancelled before it began."""
        return self._cancelled(None)

    def _cancelled(self, failure: Failure | None) -> StepCancelled:
        return endings.cancelled(self, self._ctx.clock.now(), failure)

    async def _record(self, event: AttemptEnd) -> AttemptEnd:
        """Record the end. A write that was interrupted may have been made: what is recorded is what happened."""
        payload = self._payload if type(event) is StepSucceeded else None
        try:
            await self._ctx.record(event, self.epoch, payload)
            if type(event) is StepWaiting:
                self._ctx.notifications.heard(Notification("deadline"))
        except IOManagerError as error:
            # The store does not take the value that the IO manager left to it.
            return await self._record(self._failed(describe(error, self.asset.retry, "io")))
        except StoreRefused as error:
            if type(event) is StepFailed and event.materialization.failure == self._refused(error):
                raise
            return await self._record(self._failed(self._refused(error)))
        except asyncio.CancelledError:
            if self.stopping is None or self.over:
                raise
            try:
                instead = self.handed_over() if self.stopping == "shutdown" else self._cancelled(None)
                await self._ctx.record(instead, self.epoch)
            except StaleWrite:
                return await self.recorded()
            return instead
        return event

    def _refused(self, error: StoreRefused) -> Failure:
        """The failure of a step of which the store will not have something; with nothing that could be to blame."""
        self._metadata, self.inputs, self._payload = {}, (), None
        return Failure("store", str(error))

    async def recorded(self) -> AttemptEnd:
        """The end that is recorded of its step. Raises `StaleWrite` if there is none: the run moved on."""
        record = await self._ctx.store.step(self.run_id, (self.asset.name, self.key))
        event = None if record is None else endings.as_recorded(record, self.number)
        if event is None:
            raise StaleWrite(f"{self.name} is not this run's any more.")
        return event

    def _timed_out(self) -> str:
        return f"TimeoutError: {self.name} took longer than its timeout of {self.asset.timeout:g} s."

    def _retries_timeouts(self) -> bool:
        retry = self.asset.retry
        return retry is not None and issubclass(TimeoutError, retry.on)
