"""One attempt of one item: the function of an asset that goes through items, called with one of them.

It is an attempt like that of a step: it holds a slot, runs where the asset runs, is timed out and stopped likewise,
and may be abandoned. Only, nothing of it is recorded here. What came of it is handed to whoever started it, who
records many at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, Protocol

from flowstone.actors import Crashed
from flowstone.errors import FlowstoneError, IOManagerError
from flowstone.runs.records import Failure
from flowstone.runs.retry_policy import next_delay
from flowstone.runtime.execution.guard import describe
from flowstone.runtime.run.attempt import Attempt

if TYPE_CHECKING:
    from flowstone.actors import Exit, TaskHandle
    from flowstone.assets.context import Context
    from flowstone.runs.units import Unit
    from flowstone.runtime.services.attempt_logs import AttemptLog

__all__ = ["ItemAttempt", "ItemEnd", "Kept"]


class Kept:
    """What became of an item that succeeded: what its value was made into, by whoever keeps it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


ItemEnd = Kept | Failure
"""How the attempt of an item ended."""


class Items(Protocol):
    """Whoever starts attempts of items.

    Attributes:
        template: The attributes that all of them have; `on_over` is told how each ended.
        shared: The arguments that all of them are given.
        parameter: The parameter that takes the item.
        resources: The resources of the asset.
        log: What was said in the attempt of the step.
        keep: Keeps a value; raises `IOManagerError` if that cannot be done.
    """

    parameter: str
    template: dict[str, Any]
    shared: dict[str, Any]
    resources: dict[str, Any]

    log: AttemptLog | None

    def open_log(self) -> AttemptLog: ...

    def stop(self, why: Literal["cancelled", "timeout", "shutdown"]) -> None: ...

    async def keep(self, attempt: ItemAttempt, value: Any) -> Any: ...


class ItemAttempt(Attempt):
    """An attempt of one item; `run` returns an `ItemEnd`, or None if it was stopped before it came to one.

    Attributes:
        unit: The item, or the batch of items.
        position: Its position.
        began: When it was launched, where that matters: on the monotonic clock.
    """

    began = 0.0

    def __init__(
        self,
        items: Items,
        unit: Unit,
        number: int,
        *,
        exclusive: bool = False,
    ) -> None:
        self.__dict__.update(items.template)
        self._items = items
        self.unit = unit
        self.position = unit.position
        self.number = number
        self.exclusive = exclusive
        self._failed_before = number - 1

    @property
    def name(self) -> str:
        """`asset item 7` or `asset[key] item 7`."""
        return f"{super().name} item {self.position:,}"

    async def run(self) -> ItemEnd | None:  # type: ignore[override] # nothing is recorded: see the module
        """Make the attempt."""
        self._know_handle()
        try:
            result: Any = await self._produce_in_time()
        except (asyncio.CancelledError, GeneratorExit) as error:
            result = self._interrupted(error)
        if self.over:
            raise GeneratorExit
        if self.stopping is None:
            if self.handle is not None and self.handle.halt is not None:
                raise asyncio.CancelledError
            return result  # type: ignore[no-any-return] # what `_produce` returned, or a failure
        if self.stopping == "timeout":
            return Failure("timeout", self._timed_out(), retryable=self._retries_timeouts())
        return result if type(result) is Kept else None

    async def _produce(self) -> Any:
        if self.refusal is not None:
            return self.refusal
        items, asset = self._items, self.asset
        arguments = {**items.shared, items.parameter: self.unit.item}
        context = None
        if asset.context_parameter is not None:
            context = arguments[asset.context_parameter] = self._context(items.resources, None)
        ok, value = await self._call(arguments)
        if context is not None:
            ok, value = self._noted(context, (ok, value))
        if not ok:
            return value
        if self._unwanted():
            return Failure("abandoned", "stopped")
        try:
            return Kept(await items.keep(self, self._unwrapped(value)[0]))
        except IOManagerError as error:
            return describe(error, asset.retry, "io")

    def open_log(self) -> AttemptLog:
        """A log of its own, whose lines are lines of the step's attempt."""
        self.log = (self._items.log or self._items.open_log()).of_item(self.position)
        return self.log

    def task_over(self, handle: TaskHandle, how: Exit) -> None:
        """Its task has ended; the step goes on."""
        log, self.log = self.log, None
        if log is not None:
            log.end(source=False)
        super().task_over(handle, how)

    def _make_notes(self) -> Any:
        raise FlowstoneError(
            f"{self.name} cannot remember anything by name: all items of {self.asset_name!r} are one step. Let an "
            "asset before it do that once."
        )

    def _noted(self, context: Context, outcome: tuple[bool, Any]) -> tuple[bool, Any]:
        if context.waits_for is None:
            return outcome
        words = (
            f"{self.name} {context.waits_for}, and an item cannot wait: the step that it is part of goes on. Wait "
            f"in an asset before {self.asset_name!r} or after it."
        )
        return False, Failure("error", words)

    def _progressed(self, fraction: float, message: str | None) -> None:
        """The progress of one item says nothing of the step."""

    def slots_lost(self) -> None:
        """The step goes on later, with the items that are left."""
        self._items.stop("shutdown")

    def ending(self, how: Exit) -> ItemEnd | None:
        """What came of an attempt whose task was killed, or crashed; None if it is to be made again."""
        limit = self._ctx.settings.cancel_timeout
        if self.stopping == "timeout":
            words = f"{self._timed_out()} It did not stop within {limit:g} s after that; it was abandoned."
            return Failure("timeout", words, retryable=self._retries_timeouts())
        if self.stopping is not None:
            return None
        if isinstance(how, Crashed):
            return describe(how.error, self.asset.retry)
        return None

    def retry_delay(self, failure: Failure) -> float | None:
        """Seconds until the next attempt of the item, or None if there is none."""
        if self.stopping in ("cancelled", "shutdown"):
            return None
        return next_delay(self.asset.retry, self._failed_before + 1, failure, self._ctx.random)
