"""What a run gave: its steps by status, and the values of those that have one.

Map of this file
    RunResult       of, steps, each     its steps, loaded or read page by page
                    value               the value of one of them
    _Detached        what stands in for the store of a result that was pickled
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.errors import AssetNotFound, PartitionError, StoreUnavailable, ValueNotFound
from flowstone.runs.failure_text import why_no_value
from flowstone.runs.records import Status
from flowstone.runtime.client.requests import page_of
from flowstone.runtime.client.step_list import StepList

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from flowstone.assets.asset import Asset
    from flowstone.assets.output import Output
    from flowstone.runs.records import Materialization, RunRecord
    from flowstone.runtime.loop_affinity import LoopAffinity
    from flowstone.store.protocol import Store

__all__ = ["RunResult", "checked_ending"]

T = TypeVar("T")

_MOST_LOADED: Final = 10_000  # Records of one status, where they live outside of this process.
_LONG_PAGE: Final = 10_000  # A database counts its way to each page: few long ones cost less than many short.
_ENDINGS: Final = (Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.REUSED, Status.CANCELLED)
_WITH_VALUE: Final = (Status.SUCCEEDED, Status.REUSED)


class RunResult:
    """The outcome of a run: read-only sequences of `Materialization`, one per terminal status.

    They are loaded with the result and answer when the runtime has gone. Of a run in a database at most the
    first 10,000 of each are: their `len()` is exact all the same, `each` and `steps` give the others, and a
    look beyond raises an error that says so. A result is read-only, so that copies are the result itself; pickled,
    it keeps its records, but not the store and the values.

    Attributes:
        run_id: The run's id.
        status: `succeeded`, `failed` or `cancelled`.
        succeeded, failed, skipped, reused, cancelled: The steps that ended so, in the order they ended.
        record: The run's head: what was asked for, and when.
    """

    __slots__ = (
        "_affinity",
        "_load",
        "_locate",
        "_store",
        "cancelled",
        "failed",
        "record",
        "reused",
        "run_id",
        "skipped",
        "status",
        "succeeded",
    )

    def __init__(
        self,
        record: RunRecord,
        steps: dict[Status, StepList],
        store: Store,
        *,
        locate: Callable[[str | None, Any], tuple[str, str | None]],
        load: Callable[[Materialization], Awaitable[Any]],
        affinity: LoopAffinity | None,
    ) -> None:
        self.record = record
        self.run_id = record.id
        self.status = record.status
        self.succeeded = steps[Status.SUCCEEDED]
        self.failed = steps[Status.FAILED]
        self.skipped = steps[Status.SKIPPED]
        self.reused = steps[Status.REUSED]
        self.cancelled = steps[Status.CANCELLED]
        self._store = store
        self._locate = locate
        self._load = load
        self._affinity = affinity

    @classmethod
    async def of(
        cls,
        record: RunRecord,
        store: Store,
        *,
        locate: Callable[[str | None, Any], tuple[str, str | None]],
        load: Callable[[Materialization], Awaitable[Any]],
        affinity: LoopAffinity,
    ) -> RunResult:
        """The result of a run, read from its store."""
        # Where only this process holds the store the records are in its memory anyway.
        limit = None if store.cluster is None else _MOST_LOADED
        steps = {}
        for status in _ENDINGS:
            found: Sequence[Materialization] = ()
            if limit is None or record.counts.get(status.value):
                found = await store.steps(record.id, status=status, limit=limit)
            total = record.counts.get(status.value) if len(found) == limit else None
            steps[status] = StepList(found, total)
        return cls(record, steps, store, locate=locate, load=load, affinity=affinity)

    def __copy__(self) -> RunResult:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> RunResult:
        return self

    def __reduce__(self) -> tuple[Callable[..., RunResult], tuple[Any, ...]]:
        return _remote, (self.record, {status: self._listed(status) for status in _ENDINGS})

    async def steps(
        self, status: Status | str, *, offset: int = 0, limit: int = 1_000
    ) -> Sequence[Materialization]:
        """Some of the steps that ended so, in the order they ended, however many there are.

        Args:
            status: `succeeded`, `failed`, `skipped`, `reused` or `cancelled`.
            offset: How many to leave out at the beginning.
            limit: How many at most.

        Raises:
            ValueError: No step ends in that status, or `limit` or `offset` is no whole number of at least 0.
            StoreUnavailable: They are not loaded, and the runtime has gone or its store does not answer.
        """
        limit, offset = page_of(limit, offset)
        listed = self._listed(status)
        end = min(offset + limit, len(listed))
        if listed.complete or end <= len(listed.loaded):
            return listed[max(0, offset) : max(0, end)]
        self._require_loop()
        return await self._store.steps(self.run_id, status=Status(status), offset=offset, limit=limit)

    async def each(self, status: Status | str) -> AsyncIterator[Materialization]:
        """Every step that ended so, in the order they ended, a page at a time. Raises as `steps`."""
        offset, total = 0, len(self._listed(status))
        while offset < total and (page := await self.steps(status, offset=offset, limit=_LONG_PAGE)):
            offset += len(page)
            for step in page:
                yield step

    @overload
    async def value(self, asset: Asset[..., Awaitable[Output[T]]], *, partition: Any = None) -> T: ...

    @overload
    async def value(self, asset: Asset[..., Output[T]], *, partition: Any = None) -> T: ...

    @overload
    async def value(self, asset: Asset[..., Awaitable[T]], *, partition: Any = None) -> T: ...

    @overload
    async def value(self, asset: Asset[..., T], *, partition: Any = None) -> T: ...

    @overload
    async def value(self, asset: str | Callable[..., Any] | None = None, *, partition: Any = None) -> Any: ...

    async def value(self, asset: Any = None, *, partition: Any = None) -> Any:
        """The value a step of this run gave or reused.

        Args:
            asset: Name or `Asset`; default: the run's target, if it has only one.
            partition: Which partition; may be left out if the run has one step of that asset.

        Raises:
            AssetNotFound: The run has no such asset.
            ArgumentError: The run is of several assets and none was named.
            PartitionError: The run has several partitions of the asset and none was named.
            ValueNotFound: The step failed, was skipped or cancelled, and why; or its value was removed since.
            WrongLoop: The runtime still runs, on another event loop than the caller.
        """
        self._require_loop()
        name, key = self._locate(asset, partition)
        step = await (self._only(name) if key is None else self._step(name, key))
        if step is None:
            raise self._unknown(name, key)
        if step.status not in _WITH_VALUE:
            why = why_no_value(step, self.failed.loaded)
            raise ValueNotFound(f"{step.name} has no value in this run: {why}")
        return await self._load(step)

    async def _step(self, name: str, key: str | None) -> Materialization | None:
        """One step, by its key; from what is loaded if the store has gone, or has forgotten the run."""
        try:
            found = await self._store.step(self.run_id, (name, key))
        except StoreUnavailable:
            found = self._loaded_step(name, key)
            if found is None and not self._complete:
                raise
        return found or self._loaded_step(name, key)

    async def _only(self, name: str) -> Materialization | None:
        """The one step of an asset that has a value; else one that has none."""
        if not self._complete and (only := await self._step(name, None)) is not None:
            return only
        found = [step async for step in self._with_value(name)]
        if len(found) > 1:
            several = f"{len(found):,}" if self._complete else "several"
            raise PartitionError(f"The run has {several} partitions of {name!r}: say which, partition=….")
        if found:
            return found[0]
        rest = (self.failed, self.skipped, self.cancelled)
        return next((step for steps in rest for step in steps.loaded if step.asset == name), None)

    async def _with_value(self, name: str) -> AsyncIterator[Materialization]:
        """The steps of an asset that have a value; of a run that is not all loaded at most two."""
        count = 0
        for status in _WITH_VALUE:
            async for step in self.each(status):
                if step.asset == name:
                    yield step
                    count += 1
                    if count == 2 and not self._complete:
                        return

    def _loaded_step(self, name: str, key: str | None) -> Materialization | None:
        return next(
            (
                step
                for status in _ENDINGS
                for step in self._listed(status).loaded
                if step.asset == name and step.partition_key == key
            ),
            None,
        )

    def _unknown(self, name: str, key: str | None) -> Exception:
        shown = step_label(name, key)
        if any(step.asset == name for status in _ENDINGS for step in self._listed(status).loaded):
            return ValueNotFound(f"{shown} is not part of run {self.run_id}: other partitions of it are.")
        return AssetNotFound(f"{shown} is not part of run {self.run_id}.")

    def _require_loop(self) -> None:
        if self._affinity is not None:
            self._affinity.require_loop()

    @property
    def _complete(self) -> bool:
        return all(self._listed(status).complete for status in _ENDINGS)

    def _listed(self, status: Status | str) -> StepList:
        listed: StepList = getattr(self, str(checked_ending(status)))
        return listed

    def __len__(self) -> int:
        return sum(
            map(len, (self.succeeded, self.failed, self.skipped, self.reused, self.cancelled)),
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self._counts() if count)
        return f"RunResult({self.run_id}, {self.status}: {counts or 'no steps'})"

    def __rich__(self) -> str:
        colours = {
            "succeeded": "green",
            "reused": "cyan",
            "failed": "red",
            "skipped": "yellow",
            "cancelled": "magenta",
        }
        counts = "  ".join(f"[{colours[name]}]{count} {name}[/]" for name, count in self._counts() if count)
        return f"run {self.run_id}  {counts or 'no steps'}"

    def _counts(self) -> list[tuple[str, int]]:
        return [
            (name, len(getattr(self, name)))
            for name in ("succeeded", "reused", "failed", "skipped", "cancelled")
        ]


class _Detached:
    """The store and the values of a result that was pickled."""

    async def step(self, run_id: str, key: tuple[str, str | None]) -> Materialization | None:  # noqa: ARG002 - the store's signature
        raise self.gone(run_id)

    async def steps(self, run_id: str, **_: Any) -> Sequence[Materialization]:
        raise self.gone(run_id)

    async def load(self, record: Materialization) -> Any:
        raise self.gone(record.run_id)

    def gone(self, run_id: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"This result of run {run_id} was pickled and has only its records: ask the runtime for values, "
            "`await runtime.load(asset, partition=…)`."
        )


def checked_ending(status: Status | str) -> Status:
    """How a step ends, as the caller wrote it. Raises ValueError if none ends so."""
    if status not in _ENDINGS:
        raise ValueError(f"No step ends {status!r:.50}: use one of {', '.join(_ENDINGS)}.")
    return Status(status)


def _remote(record: RunRecord, steps: dict[Status, StepList]) -> RunResult:
    """A result that was pickled."""
    nowhere: Any = _Detached()
    return RunResult(record, steps, nowhere, locate=_located, load=nowhere.load, affinity=None)


def _located(asset: Any, partition: Any) -> tuple[str, str | None]:
    name = asset if isinstance(asset, str) else asset.name
    return name, None if partition is None else encode_partition(partition)
