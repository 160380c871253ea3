"""The port to who wants what a run computes, so that several callers share one run.

A run is *under way* for a request while it is unfinished and nobody has asked to cancel it; which requests are
the same, `flowstone.runs.identity` says. Whoever asks for a run with `create` either starts one or joins the one
that is under way, in one transaction, so that of many who ask at once one computes. A *caller* is one call that
waits for a run. It leaves when it waits no more, and those of a node leave when the node is gone. A run that
nobody joined has no callers on record: its only one is the call that started it.

Promises, each stated by the contract suite in `tests/store/callers_contract.py`:

* Of any number of `create`s for the same request at once, while none of the runs finishes, one makes a run.
* A run is joined whether or not it was started in this way.
* A run that `leave` says is to be cancelled is joined by nobody afterwards. Where several nodes share the store, it
  has been asked to cancel it then, in the same transaction: no step of it is answered any more, nor is it parked.
* A run that was submitted is wanted whoever leaves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.runs.records import RunRecord

__all__ = ["Caller", "Callers", "Unwanted"]

Unwanted: TypeAlias = Literal["caller", "unwanted"]
"""Why a run is to be cancelled that nobody wants: a caller asked for that, or it was that who started the run."""


@frozen
class Caller:
    """One call that waits for a run.

    Attributes:
        id: Unique; of the call that starts a run, the run's id.
        node: The node it is on.
        cancels: Whether the run is to be cancelled if this one leaves and nobody else is left.
        waiting: Runs on its node that cannot end before it has its answer: that of the step that calls, and those
            with steps that wait for that one.
    """

    id: str
    node: str
    cancels: bool = False
    waiting: tuple[str, ...] = ()


class Callers(Protocol):
    """Who wants which run. Every call may raise `StoreUnavailable`; each is safe to repeat."""

    async def create(
        self, run: RunRecord, caller: Caller | None, *, join: bool = True, but: Collection[str] = ()
    ) -> str:
        """Remember a new run as `Store.create_run` does, unless one is under way for the same request.

        Without an owner, where several nodes share the store, the run is put in the queue as `Cluster.submit` does.

        Args:
            run: The run.
            caller: Who waits for it; its id is the run's. None: nobody does, and it is wanted whoever leaves.
            join: Whether to join one that is under way. If not, the run is created unless another one has its key.
            but: Runs that are not joined.

        Returns:
            The id of the run: this one's, of which the store knows then, or that of the one that was joined, or
            of the unfinished one that has its key.

        Raises:
            WaitsForItself: The run that is under way cannot end before one of `caller.waiting` does.
        """

    async def attend(self, run_id: str, caller: Caller) -> None:
        """Somebody waits for a run who is not on record yet.

        It keeps nobody from leaving meanwhile: whoever is on record stays until this has returned.

        Raises:
            WaitsForItself: As for `create`.
        """

    async def keep(self, run_id: str) -> None:
        """The run is wanted from now on whoever leaves."""

    async def leave(self, run_id: str, caller: Caller) -> Unwanted | None:
        """A caller waits no more. Why the run is to be cancelled, or None if it goes on.

        Args:
            run_id: The run.
            caller: Who leaves; it need not be on record.
        """

    async def forget(self, node_id: str) -> None:
        """All callers of a node that is gone have left; runs that nobody wants then are asked to be cancelled."""

    async def wanted(self, run_ids: Collection[str], node_id: str) -> Collection[str]:
        """Which of these runs somebody wants who is not on this node, or who cannot leave."""
