"""Who wants which run, where one process has the store: the calls are in that process, and nowhere on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.store.callers import Caller, Callers, Unwanted
from flowstone.store.sanitise import sanitised_run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from flowstone.runs.records import RunRecord
    from flowstone.store.history import History

__all__ = ["MemoryCallers"]

_FOR_EVER: Final = Caller("", "")
_MANY: Final = 1_000  # Runs.


class MemoryCallers(Callers):
    """The callers of one process.

    Args:
        history: The state behind the store.
        change: Records an operation and then does it.
        settled: Returns when all that is on its way to be recorded is done.
    """

    def __init__(
        self,
        history: Callable[[], History],
        change: Callable[[list[Any], Callable[[], Any]], Coroutine[Any, Any, Any]],
        settled: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._history = history
        self._change = change
        self._settled = settled
        self._present: dict[
            str, dict[str, Caller]
        ] = {}  # Of unfinished runs that somebody joined, or may join.
        self._enough = _MANY
        self._over: set[str] = set()  # Unfinished runs that are about to be cancelled.

    async def create(
        self, run: RunRecord, caller: Caller | None, *, join: bool = True, but: Collection[str] = ()
    ) -> str:
        run = sanitised_run(run)
        self._let_go()
        while True:
            shunned = [*but, *self.ending()] if join else self._of_the_same(run)
            run_id = await self._created(run, caller, shunned)
            if run_id == run.id or run_id not in self._over:
                return run_id

    def _of_the_same(self, run: RunRecord) -> list[str] | None:
        """The runs under way that do the same, so that none but one with its key is joined; None: it has none."""
        if run.key is None:
            return None
        found: list[str] = []
        while (one := self._history().under_way.find(run, found)) is not None:
            found.append(one)
        return found

    async def _created(self, run: RunRecord, caller: Caller | None, shunned: list[str] | None) -> str:
        """The run that there is now; the journal has what decides it, so that it is decided so again."""

        def apply() -> str:
            run_id = self._history().create_run(run, shunned)
            if run_id == run.id or run_id not in self._over:
                self._want(run_id, caller, new=run_id == run.id)
            return run_id

        from flowstone.store.codec import encode_run  # noqa: PLC0415 - few runtimes in memory need it

        operation = ["run", encode_run(run)] if shunned is None else ["run", encode_run(run), shunned]
        created: str = await self._change(operation, apply)
        return created

    def ending(self) -> list[str]:
        """The unfinished runs that are about to be cancelled; whoever asks for the same now gets another one.

        Each stands in the journal with what is decided upon it, so those that have ended are forgotten here.
        """
        self._over = {run_id for run_id in self._over if self._goes_on(run_id)}
        return sorted(self._over)

    async def attend(self, run_id: str, caller: Caller) -> None:
        self._want(run_id, caller)

    async def keep(self, run_id: str) -> None:
        self.keep_now(run_id)

    def keep_now(self, run_id: str) -> None:
        """As `keep`, for whoever cannot wait."""
        self._want(run_id, None)

    async def leave(self, run_id: str, caller: Caller) -> Unwanted | None:
        if caller.id == run_id:  # Then it is known that its starter does not want it any more.
            self._present.setdefault(run_id, {})
        present = self._present.get(run_id)
        cancels = caller.cancels
        if present is not None:
            known = present.pop(caller.id, None)
            cancels = cancels or (known is not None and known.cancels)
        if present:
            self._over.discard(run_id)
            return None
        if not cancels and caller.id != run_id:
            return None
        self._over.add(
            run_id
        )  # What is decided from here on does not join it. What was before may do so still.
        await self._settled()
        if self._present.get(run_id):
            self._over.discard(run_id)
            return None
        return "unwanted" if cancels else "caller"

    async def forget(self, node_id: str) -> None: ...

    async def wanted(self, run_ids: Collection[str], node_id: str) -> Collection[str]:
        present = ((run_id, self._present.get(run_id, {})) for run_id in run_ids)
        return [
            run_id
            for run_id, callers in present
            if any(caller.node != node_id for caller in callers.values())
        ]

    def _want(self, run_id: str, caller: Caller | None, *, new: bool = False) -> None:
        """The first who joins says as well that its starter wants it, or somebody who cannot leave."""
        if new and caller is None:
            return  # Whoever joins it says that it is wanted.
        caller = caller or _FOR_EVER
        present = self._present.get(run_id)
        if present is None:
            present = self._present[run_id] = {}
            log = self._history().find(run_id)
            if not new and caller.id != run_id and log is not None:
                head = log.head()
                by_call = head.owner is not None and head.epoch == 0
                first = Caller(run_id, head.owner or "") if by_call else _FOR_EVER
                present[first.id] = first
        present.setdefault(caller.id, caller)

    def _let_go(self) -> None:
        """Forget who wanted what has ended, whenever there are twice as many as were left the last time."""
        if len(self._present) + len(self._over) < self._enough:
            return
        self._over = set(filter(self._goes_on, self._over))
        self._present = {
            run_id: callers for run_id, callers in self._present.items() if self._goes_on(run_id)
        }
        self._enough = max(_MANY, 2 * (len(self._present) + len(self._over)))

    def _goes_on(self, run_id: str) -> bool:
        log = self._history().find(run_id)
        return log is not None and not log.finished
