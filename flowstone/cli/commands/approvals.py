"""`flowstone approvals`, `approve`, `reject` and `signal`: what steps wait for somebody to say."""

from __future__ import annotations

import json as json_format
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from flowstone.assets.partition_labels import partition_label
from flowstone.cli.asker import asker
from flowstone.cli.documents import json_value
from flowstone.cli.drivers import Drivers
from flowstone.cli.labels import ago, run_label
from flowstone.cli.loop import run_async
from flowstone.cli.options import AskedBy, AssetFilter, Debug, Json, StoreUrl, whole
from flowstone.cli.places import history, shown, written
from flowstone.cli.problem import CommandError
from flowstone.cli.queued import nobody_goes_on
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.cli.tables import table
from flowstone.errors import ApprovalNotFound, ArgumentError
from flowstone.printable import one_line
from flowstone.store import decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from flowstone.client import Client
    from flowstone.runs.waits import Approval, Wait
    from flowstone.store import Store
    from flowstone.store.waits import Answered

__all__ = ["approvals", "approve", "reject", "signal"]

_Id = Annotated[
    str, typer.Argument(metavar="ID", help="The approval's id, or how it begins.", show_default=False)
]
_By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides.", show_default=False)]
_Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why, for people.", show_default=False)
]


def approvals(
    store: StoreUrl,
    status: Annotated[
        str,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Those that are pending, approved, rejected, expired or cancelled; or all.",
        ),
    ] = "pending",
    asset: AssetFilter = None,
    limit: Annotated[int, whole("--limit", "How many at most.", least=1)] = 20,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List what somebody is to approve, the newest first."""
    with Screen(json=json, debug=debug) as screen:
        found = run_async(_newest(store, None if status == "all" else status, asset, limit))
        if screen.json:
            screen.document({"approvals": [_document(one) for one in found]})
        elif found:
            screen.show(_table(screen, found))
        else:
            kind = "" if status == "all" else f"{one_line(status)} "
            screen.note(f"No {kind}approvals in {shown(store)}.")


def approve(
    approval: _Id,
    by: _By,
    *,
    reason: _Reason = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="JSON", help="What the step is given along.", show_default=False),
    ] = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Approve what a step waits for: it goes on."""
    with Screen(json=json, debug=debug) as screen:
        given = None if data is None else _parsed("--data", data)
        _show(screen, *run_async(_decide(store, approval, by, reason, given, approving=True)))


def reject(
    approval: _Id,
    by: _By,
    *,
    reason: _Reason = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Reject what a step waits for: it fails."""
    with Screen(json=json, debug=debug) as screen:
        _show(screen, *run_async(_decide(store, approval, by, reason, None, approving=False)))


def signal(
    token: Annotated[
        str, typer.Argument(metavar="TOKEN", help="What the step handed out.", show_default=False)
    ],
    payload: Annotated[
        str, typer.Argument(metavar="JSON", help="What the step is given.", show_default=False)
    ],
    *,
    by: AskedBy = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Send a step the signal for which it handed out a token."""
    with Screen(json=json, debug=debug) as screen:
        if isinstance(store, ServerUrl):
            run_async(_send_to(store, token, _parsed("JSON", payload)))
            screen.document({"sent": True}) if screen.json else screen.show("the signal was sent")
            return
        wait, nobody = run_async(_send(store, token, _parsed("JSON", payload), asker(by)))
        if screen.json:
            screen.document({"run_id": wait.run_id, "asset": wait.asset, "name": wait.name})
        else:
            screen.show(f"signal {one_line(wait.name)} of {wait.asset} was sent to run {wait.run_id}")
            _tell(screen, nobody)


async def _newest(url: str, status: str | None, asset: str | None, limit: int) -> Sequence[Approval]:
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            return await client.approvals(cast("Any", status), asset, limit)
    async with history(url) as store:
        return await decisions.approvals(store, status, now=datetime.now(UTC), asset=asset, limit=limit)


async def _decide(
    url: str, beginning: str, by: str, reason: str | None, data: Any, *, approving: bool
) -> tuple[Approval, str | None]:
    """The approval; and that nobody goes on with its run, if so."""
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            whole = await _remote_id(client, beginning)
            if approving:
                return await client.approve(whole, by=by, reason=reason, data=data), None
            return await client.reject(whole, by=by, reason=reason), None
    async with written(url) as store:
        known = await decisions.approval_wait(store, beginning)
        if known is None and beginning:
            beginning = await _id(store, beginning)
        try:
            answered = await decisions.decide(
                store, beginning, approve=approving, by=by, reason=reason, data=data, now=datetime.now(UTC)
            )
        except ApprovalNotFound:
            raise CommandError(
                f"There is no approval {one_line(beginning)} in {shown(url)}.",
                "`flowstone approvals` lists those that are pending.",
            ) from None
        except ArgumentError:
            raise
        except ValueError as error:  # Of the data.
            raise CommandError(str(error)) from None
        return decisions.approval_of(answered.wait), await _nobody(store, answered)


async def _id(store: Store, beginning: str) -> str:
    """The whole id of a pending approval, else of any other one; what was given if there is none."""
    for status in ("pending", None):
        found = await decisions.approvals(store, status, now=datetime.now(UTC), limit=10_000)
        ids = [one.id for one in found if one.id.startswith(beginning)]
        if len(ids) > 1:
            kind = "" if status is None else f"{status} "
            raise CommandError(
                f"Several {kind}approvals begin with {one_line(beginning)}.", "Give more of the id."
            )
        if ids:
            return ids[0]
    return beginning


async def _remote_id(client: Client, beginning: str) -> str:
    """As `_id`, of a server."""
    for status in ("pending", None):
        found = await client.approvals(cast("Any", status), limit=10_000)
        ids = [one.id for one in found if one.id.startswith(beginning)]
        if beginning in ids:
            return beginning
        if len(ids) > 1:
            raise CommandError(f"Several approvals begin with {one_line(beginning)}.", "Give more of the id.")
        if ids:
            return ids[0]
    return beginning


async def _send_to(url: ServerUrl, token: str, payload: Any) -> None:
    async with asked(url) as client:
        await client.signal(token, payload, by=asker())


async def _send(url: str, token: str, payload: Any, by: str | None) -> tuple[Wait, str | None]:
    """The wait; and that nobody goes on with its run, if so."""
    async with written(url) as store:
        try:
            answered = await decisions.send_signal(store, token, payload, now=datetime.now(UTC), by=by)
        except ValueError as error:
            raise CommandError(str(error)) from None
        return answered.wait, await _nobody(store, answered)


async def _nobody(store: Store, answered: Answered) -> str | None:
    run = await store.run(answered.wait.run_id)
    return None if run is None else nobody_goes_on(await Drivers.of(store), run)


def _parsed(what: str, text: str) -> Any:
    try:
        return json_format.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(
            f"{what} is no JSON: {error}.", "Write a text as '\"text\"', and nothing as null."
        ) from None


def _show(screen: Screen, decided: Approval, nobody: str | None) -> None:
    if screen.json:
        screen.document(_document(decided))
    else:
        screen.show(
            f"{one_line(decided.name)} of {decided.asset} is {decided.status} by {one_line(decided.by or '')}"
        )
        _tell(screen, nobody)


def _tell(screen: Screen, nobody: str | None) -> None:
    if nobody is not None:
        screen.note(nobody)


def _document(one: Approval) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "asset": one.asset,
        "partition": None if one.partition is None else partition_label(one.partition),
        "run_id": one.run_id,
        "message": one.message,
        "data": one.data,
        "status": one.status,
        "requested_at": json_value(one.requested_at),
        "expires_at": json_value(one.expires_at),
        "by": one.by,
        "reason": one.reason,
        "decided_at": json_value(one.decided_at),
    }


def _table(screen: Screen, found: Sequence[Approval]) -> Table:
    now = datetime.now(UTC)
    shown_table = table(screen, "id", "status", "asked", "run", "what", "message")
    for one in found:
        where = "" if one.partition is None else f"[{partition_label(one.partition)}]"
        status = f"{one.status} by {one_line(one.by)}" if one.by else one.status
        shown_table.add_row(
            one.id,
            status,
            ago(one.requested_at, now),
            run_label(one.run_id, short=not screen.wide),
            f"{one.asset}{where}: {one_line(one.name)}",
            one_line(one.message),
        )
    return shown_table
