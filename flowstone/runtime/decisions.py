"""What people and other systems say to steps that wait: approvals and signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.runtime.amending import Amending
from flowstone.runtime.client.requests import asset_named, bounded_count
from flowstone.store import decisions
from flowstone.store.cluster import Notification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.waits import Approval, ApprovalStatus, WaitingStep
    from flowstone.store.waits import Answered

__all__ = ["Decisions"]


class Decisions(Amending):
    """The calls of `Runtime` that answer what steps wait for."""

    async def approvals(
        self,
        status: ApprovalStatus | None = "pending",
        asset: Any = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[Approval]:
        """What somebody is to approve, the newest first.

        Args:
            status: Only those that are `pending`, `approved`, `rejected`, `expired` or `cancelled`; None: all.
            asset: Only those of this asset: name, `Asset` or decorated function. Default: any.
            limit: How many at most.
            before: Only those that were asked for before the one of this id: the last one of the page before.

        Raises:
            AssetNotFound: There is no such asset.
            ApprovalNotFound: There is no approval `before`.
            ValueError: There is no such status, or `limit` is no positive whole number.
        """
        ctx = self._started()
        name = None if asset is None else asset_named(ctx.snapshot.graph, asset).name
        most = bounded_count("limit", limit)
        return await decisions.approvals(
            ctx.store, status, now=ctx.clock.now(), asset=name, limit=most, before=before
        )

    async def approval(self, id: str) -> Approval:  # noqa: A002 - the public word
        """One approval, whatever has become of it, for as long as its run is remembered.

        Args:
            id: Its id.

        Raises:
            ApprovalNotFound: There is none of that id.
        """
        ctx = self._started()
        wait = await decisions.known_approval(ctx.store, id)
        return decisions.approval_of(wait.as_of(ctx.clock.now()))

    async def waits(self, asset: Any = None, limit: int = 100) -> Sequence[WaitingStep]:
        """What steps wait for at this instant: approvals, signals and instants.

        What is over first by itself comes first; then, the newest first, what waits for as long as it takes.

        Args:
            asset: Only steps of this asset: name, `Asset` or decorated function. Default: any.
            limit: How many at most.

        Raises:
            AssetNotFound: There is no such asset.
            ValueError: `limit` is no positive whole number.
        """
        ctx = self._started()
        name = None if asset is None else asset_named(ctx.snapshot.graph, asset).name
        most = bounded_count("limit", limit)
        return await decisions.waiting_steps(ctx.store, now=ctx.clock.now(), asset=name, limit=most)

    async def approve(
        self,
        id: str,  # noqa: A002 - the public word
        *,
        by: str,
        reason: str | None = None,
        data: Any = None,
    ) -> Approval:
        """Approve what a step waits for: it goes on, on whatever node.

        Args:
            id: The approval's id.
            by: Who approves.
            reason: Why, or None.
            data: What the step is given along, JSON of at most a megabyte.

        Returns:
            The approval, decided.

        Raises:
            ApprovalNotFound: There is none of that id.
            AlreadyDecided: Somebody was faster, or it has expired, or was cancelled with its run.
            ValueError: `by` is empty, or what is given cannot be kept.
        """
        return await self._decide(id, approve=True, by=by, reason=reason, data=data)

    async def reject(
        self,
        id: str,  # noqa: A002 - the public word
        *,
        by: str,
        reason: str | None = None,
    ) -> Approval:
        """Reject what a step waits for: the step fails with the kind `rejected`.

        Args:
            id: The approval's id.
            by: Who rejects.
            reason: Why, or None.

        Returns:
            The approval, decided.

        Raises:
            ApprovalNotFound: There is none of that id.
            AlreadyDecided: Somebody was faster, or it has expired, or was cancelled with its run.
            ValueError: `by` is empty, or what is given cannot be kept.
        """
        return await self._decide(id, approve=False, by=by, reason=reason, data=None)

    async def signal(self, token: str, payload: Any = None, *, by: str | None = None) -> None:
        """Send a step the signal for which it handed out a token; what comes early is kept.

        Args:
            token: What `context.signal_token` gave.
            payload: What `context.signal` returns, JSON of at most a megabyte.
            by: Who sends it. Default: whoever the runtime acts for (`actor=`).

        Raises:
            TokenUnknown: No step handed it out.
            TokenUsed: The signal has come before.
            TokenExpired: The step waits for it no more, or its run has ended.
            ValueError: The payload cannot be kept, or `by` is no text.
        """
        ctx = self._started()
        by = self._client.asker(by)
        run_id = decisions.run_of_token(token)
        if run_id is not None:
            await self._runs.abandoned.settled(run_id)
        now = ctx.clock.now()
        sent = await decisions.send_signal(ctx.store, token, payload, now=now, by=by, sleep=ctx.clock.sleep)
        self._answered(sent)

    async def _decide(
        self,
        id: str,  # noqa: A002 - as above
        *,
        approve: bool,
        by: str,
        reason: str | None,
        data: Any,
    ) -> Approval:
        ctx = self._started()
        if self._runs.abandoned.left and (wait := await decisions.approval_wait(ctx.store, id)) is not None:
            await self._runs.abandoned.settled(wait.run_id)
        now = ctx.clock.now()
        answered = await decisions.decide(
            ctx.store, id, approve=approve, by=by, reason=reason, data=data, now=now
        )
        self._answered(answered)
        return decisions.approval_of(answered.wait)

    def _answered(self, answered: Answered) -> None:
        """Where no other process shares the store, nobody else tells who is to go on."""
        ctx = self._started()
        if answered.event is not None and ctx.store.cluster is None:
            ctx.learn([answered.event], denied=True)
            ctx.notifications.heard(Notification("woken", answered.wait.run_id))
