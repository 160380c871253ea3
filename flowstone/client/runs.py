"""One run from outside, by its id: what its handle asks of a server, and where its result reads its steps.

Map of this file
    record, status, cancel, drain       one request each
    ended                               waits, over any number of connections
    events                              what is on record first, then what comes
    result                              its steps, as `RunResult` has them
    _Steps                              what a result reads when it is asked for more of them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import partition_argument
from flowstone.client.arguments import asset_text
from flowstone.client.definitions import RemoteGraph
from flowstone.client.feed import AWAY, RemoteFeed
from flowstone.errors import FeedExpired, IOManagerError
from flowstone.runs.events import RunFinished
from flowstone.runs.records import Status
from flowstone.runtime.client.askers import asker
from flowstone.runtime.client.failure_errors import raise_unless_succeeded
from flowstone.runtime.client.result import RunResult
from flowstone.runtime.client.run_client import event_identity
from flowstone.runtime.client.step_list import StepList
from flowstone.wire.definitions import AssetModel
from flowstone.wire.event_records import event_of
from flowstone.wire.events import EventModel
from flowstone.wire.materializations import MaterializationModel
from flowstone.wire.runs import RunModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from flowstone.client.feed import Patience
    from flowstone.client.transport import Transport
    from flowstone.runs.events import Event
    from flowstone.runs.records import Materialization, RunRecord, StepKey
    from flowstone.runtime.run.control import Cancel

__all__ = ["RemoteRuns"]

T = TypeVar("T")

_MOST_LOADED: Final = 10_000
"""Records of one status that a result has loaded, as that of a run in a database."""

_ENDINGS: Final = (Status.SUCCEEDED, Status.FAILED, Status.SKIPPED, Status.REUSED, Status.CANCELLED)
_STOPPING: Final = 600.0
"""Seconds that a run may take to stop: it is answered when it has."""


class RemoteRuns:
    """What can be done with the runs of a server.

    Args:
        transport: The connection.
        patience: Makes a `Patience` for something that is waited for.
    """

    def __init__(self, transport: Transport, patience: Callable[[], Patience]) -> None:
        self._transport = transport
        self._patience = patience

    def require_usable(self) -> None:
        """Raise unless the client is open."""
        self._transport.require_open()

    async def record(self, run_id: str) -> RunRecord:
        """The run's head, with all partitions that were asked for. Raises `RunNotFound`."""
        return (await self._head(run_id)).as_record()

    async def run_status(self, run_id: str) -> Status:
        """Its status now."""
        return (await self._transport.get(RunModel, "runs", run_id)).status

    def asker(self, by: str | None) -> str | None:
        """Who asks; the server has the name of the token beside."""
        return asker(by, None)

    async def cancel(self, run_id: str, why: Cancel) -> None:
        """Stop it; returns when it has stopped."""
        await self._stop(run_id, {"by": why.by, "reason": why.comment})

    async def drain(self, run_id: str, by: str | None = None) -> None:
        """Let its running steps end, and begin no others; returns when it has stopped."""
        await self._stop(run_id, {"by": by, "drain": True})

    async def _stop(self, run_id: str, body: dict[str, Any]) -> None:
        await self._transport.post(
            RunModel, "runs", run_id, "cancel", body=body, again=True, patience=_STOPPING
        )

    def detach(self, run_id: str) -> None:
        """Nothing: every run of a server outlives the call that waits for it."""

    async def ended(self, run_id: str) -> BaseException | None:
        """Return when it has ended. What a step raised stays where the server is."""
        while True:
            try:
                async with self._feed(run_id, "run.finished") as feed:
                    # Asked after the feed was begun: it ends before this, or an event of it comes.
                    while not (await self.patiently(lambda: self.run_status(run_id))).terminal:
                        async for entry in feed:
                            if isinstance(entry.event, RunFinished):
                                break
                return None
            except FeedExpired:
                continue  # Its end may be among what is gone: a new feed is begun, and then its status asked for.

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask for something of a run that is waited for: again, as long as its server is away and may come back."""
        patience = self._patience()
        patience.reached()  # It was, when the run was begun or found.
        while True:
            try:
                return await ask()
            except AWAY as error:
                self._transport.require_open()
                await patience.rest(error)

    async def judge(self, result: RunResult, cause: BaseException | None) -> None:
        """Raise what became of a run that did not succeed."""
        if result.status is Status.FAILED:
            found = await self.patiently(lambda: self._transport.listed(AssetModel, "assets"))
            raise_unless_succeeded(result, cause, RemoteGraph(each.as_record() for each in found))
        raise_unless_succeeded(result, cause, RemoteGraph(()))

    async def events(self, run_id: str) -> AsyncIterator[Event]:
        """What is on record first, then what comes, until it has ended; none twice, none left out.

        How far a step says it is (`step.progressed`) is on no record, and not among them.
        """
        seen: set[tuple[object, ...]] = set()
        while True:
            try:
                async with self._feed(run_id) as feed:
                    terminal = (await self.patiently(lambda: self.run_status(run_id))).terminal
                    async for event in self.on_record(run_id):
                        if event_identity(event) in seen:
                            continue
                        seen.add(event_identity(event))
                        yield event
                        if isinstance(event, RunFinished):
                            return
                    if terminal:
                        return
                    async for entry in feed:
                        found: Any = entry.event
                        if event_identity(found) not in seen:
                            seen.add(event_identity(found))
                            yield found
                            if isinstance(found, RunFinished):
                                return
            except FeedExpired:
                continue  # What is gone from the feed is on record.

    async def on_record(self, run_id: str) -> AsyncIterator[Event]:
        """What is on record of a run that is waited for or followed, over any number of connections."""
        last, patience = 0, self._patience()
        patience.reached()
        while True:
            try:
                async for number, event in self.recorded(run_id, after=last):
                    last = number
                    patience.reached()
                    yield event
                return
            except AWAY as error:
                self._transport.require_open()
                await patience.rest(error)

    async def recorded(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> AsyncIterator[tuple[int, Event]]:
        """What is on record, each with its number."""
        pages = self._transport.pages(
            EventModel, "runs", run_id, "events", limit=limit, number=after, records=True
        )
        async for told in pages:
            event: Any = event_of(told)
            if event is not None:
                yield told.id, event

    async def result(self, run_id: str) -> RunResult:
        """What it has given so far. A server that is away is waited for: so does `Run.wait` get its result."""
        return await self.patiently(lambda: self._result(run_id))

    async def _result(self, run_id: str) -> RunResult:
        record = (await self._head(run_id)).as_record()
        store: Any = _Steps(self._transport)
        steps = {}
        for status in _ENDINGS:
            total = record.counts.get(status.value, 0)
            found = await store.steps(run_id, status=status, limit=_MOST_LOADED) if total else ()
            steps[status] = StepList(found, total if len(found) == _MOST_LOADED else None)

        def locate(asset: Any, partition: Any) -> tuple[str, str | None]:
            name = record.asset if asset is None else asset_text(asset)
            return name, _key(partition)

        return RunResult(record, steps, store, locate=locate, load=_not_loaded, affinity=None)

    async def step(self, run_id: str, asset: str, key: str | None) -> Materialization | None:
        """One step that has ended."""
        return await _Steps(self._transport).step(run_id, (asset, key))

    def _feed(self, run_id: str, *kinds: str) -> RemoteFeed:
        return RemoteFeed(
            self._transport, kinds, after=None, run_id=run_id, asset=None, patience=self._patience()
        )

    async def _head(self, run_id: str) -> RunModel:
        return await self._transport.get(RunModel, "runs", run_id, every_partition=True)


class _Steps:
    """The steps of runs, as a result reads them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def steps(
        self, run_id: str, *, status: Status | None = None, offset: int = 0, limit: int | None = None
    ) -> Sequence[Materialization]:
        self._transport.require_open()
        found = await self._transport.listed(
            MaterializationModel,
            "runs",
            run_id,
            "steps",
            limit=limit,
            status=None if status is None else status.value,
            offset=offset or None,
            traceback=True,
        )
        return [each.as_record() for each in found]

    async def step(self, run_id: str, key: StepKey) -> Materialization | None:
        asset, partition = key
        found = await self._transport.get_optional(
            MaterializationModel, "runs", run_id, "steps", asset, partition=partition, traceback=True
        )
        return None if found is None else found.as_record()


def _key(partition: Any) -> str | None:
    if partition is None:
        return None
    return encode_partition(partition_argument(partition) if isinstance(partition, str) else partition)


async def _not_loaded(record: Materialization) -> Any:
    raise IOManagerError(
        f"The value of {record.name} stays where its server is: a client has records, and loads no values."
    )
