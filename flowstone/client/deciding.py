"""The calls of `Client` that answer what steps wait for, and say what happens by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.client.arguments import asset_text, new_page
from flowstone.client.starting import Starting
from flowstone.errors import ArgumentError
from flowstone.wire.approvals import ApprovalModel, SignalledModel
from flowstone.wire.automations import AutomationModel
from flowstone.wire.runs import RunModel
from flowstone.wire.waits import WaitModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.automation_status import AutomationStatus
    from flowstone.runs.waits import Approval, ApprovalStatus, WaitingStep
    from flowstone.runtime.client.handle import Run

__all__ = ["Deciding"]


class Deciding(Starting):
    """The calls of `Client` about approvals, signals and automations."""

    async def approvals(
        self,
        status: ApprovalStatus | None = "pending",
        asset: Any = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[Approval]:
        """As `Runtime.approvals`."""
        if not new_page(limit, 0):
            raise ArgumentError("limit=0: give a whole number of at least 1.")
        found = await self._transport.listed(
            ApprovalModel,
            "approvals",
            limit=limit,
            status="all" if status is None else status,
            asset=None if asset is None else asset_text(asset),
            before=before,
        )
        return [each.as_record() for each in found]

    async def approval(self, id: str) -> Approval:  # noqa: A002 - the public word
        """As `Runtime.approval`."""
        return (await self._transport.get(ApprovalModel, "approvals", id)).as_record()

    async def waits(self, asset: Any = None, limit: int = 100) -> Sequence[WaitingStep]:
        """As `Runtime.waits`."""
        if not new_page(limit, 0):
            raise ArgumentError("limit=0: give a whole number of at least 1.")
        name = None if asset is None else asset_text(asset)
        found = await self._transport.listed(WaitModel, "waits", limit=limit, asset=name)
        return [each.as_record() for each in found]

    async def approve(
        self,
        id: str,  # noqa: A002 - the public word
        *,
        by: str,
        reason: str | None = None,
        data: Any = None,
    ) -> Approval:
        """As `Runtime.approve`; beside `by` the name of the token is recorded."""
        body = {"by": by, "reason": reason, "data": data}
        return (await self._transport.post(ApprovalModel, "approvals", id, "approve", body=body)).as_record()

    async def reject(
        self,
        id: str,  # noqa: A002 - the public word
        *,
        by: str,
        reason: str | None = None,
    ) -> Approval:
        """As `Runtime.reject`; beside `by` the name of the token is recorded."""
        body = {"by": by, "reason": reason}
        return (await self._transport.post(ApprovalModel, "approvals", id, "reject", body=body)).as_record()

    async def signal(self, token: str, payload: Any = None, *, by: str | None = None) -> None:
        """As `Runtime.signal`."""
        await self._transport.post(SignalledModel, "signals", token, body={"payload": payload, "by": by})

    # Automations --------------------------------------------------------------------------------------------

    async def automations(self, *, fires: int = 10) -> Sequence[AutomationStatus]:
        """As `Runtime.automations`."""
        found = await self._transport.listed(AutomationModel, "automations", fires=fires)
        return [each.as_record() for each in found]

    async def pause(self, name: str, *, by: str | None = None, reason: str = "") -> AutomationStatus:
        """As `Runtime.pause`; beside `by` the name of the token is recorded."""
        body = {"by": by, "reason": reason}
        told = await self._transport.post(
            AutomationModel, "automations", name, "pause", body=body, again=True
        )
        return told.as_record()

    async def resume(self, name: str, *, by: str | None = None) -> AutomationStatus:
        """As `Runtime.resume`; beside `by` the name of the token is recorded."""
        told = await self._transport.post(
            AutomationModel, "automations", name, "resume", body={"by": by}, again=True
        )
        return told.as_record()

    async def fire(self, name: str, *, by: str | None = None) -> list[Run]:
        """As `Runtime.fire`; beside `by` the name of the token is recorded.

        Nobody knows such a request again: after an answer that was lost it raises `ServerUnavailable`, and
        `automations` says whether it has fired.
        """
        told = await self._transport.post_list(RunModel, "automations", name, "fire", body={"by": by})
        return [self._handle(each.id) for each in told]
