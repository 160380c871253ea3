"""`flowstone token create | list | revoke`: who may use the web pages and the HTTP API of a store's servers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from flowstone.cli.asker import asker
from flowstone.cli.labels import ago, until
from flowstone.cli.loop import run_async
from flowstone.cli.options import Debug, Json, StoreUrl
from flowstone.cli.places import history, shares, shown, written
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.cli.tables import table
from flowstone.errors import StoreUnavailable
from flowstone.printable import one_line
from flowstone.remedies import Remedies
from flowstone.runs.access import Role
from flowstone.store.access import create_token, revoke_token

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from flowstone.runs.access import AccessToken

__all__ = ["token"]

_LENGTH: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_MAY: Final = {
    Role.READ: "look at everything",
    Role.OPERATE: "start and stop what there is",
    Role.ADMIN: "do everything",
}


def token(
    action: Annotated[
        Literal["create", "list", "revoke"],
        typer.Argument(metavar="create|list|revoke", help="What to do.", show_default=False),
    ],
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The token to revoke.", show_default=False)
    ] = None,
    *,
    role: Annotated[
        str | None,
        typer.Option(
            "--role", metavar="ROLE", help="What it may: read, operate or admin.", show_default=False
        ),
    ] = None,
    named: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Whose it is, as recorded with what is done.",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="WHEN",
            help="Until when: 90d, 12h, 30m, or a date in UTC. Default: until it is revoked.",
            show_default=False,
        ),
    ] = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make, list or revoke tokens for the web pages and the API."""
    with Screen(json=json, debug=debug) as screen:
        if action == "create" and role is not None and (name is None) != (named is None):
            end = None if expires is None else _end(expires)
            run_async(_create(screen, store, str(name if named is None else named), role, end))
        elif action == "list" and (name, role, named, expires) == (None,) * 4:
            run_async(_list(screen, store))
        elif action == "revoke" and (role, expires) == (None, None) and (name is None) != (named is None):
            run_async(_revoke(screen, store, str(named if name is None else name)))
        else:
            raise CommandError(
                f"`token {action}` takes {_TAKES[action]}.", f"Write `flowstone token {_FORMS[action]}`."
            )


_TAKES: Final = {
    "create": "a role and a name, and until when it is valid if you like",
    "list": "nothing else",
    "revoke": "the name of a token",
}
_FORMS: Final = {
    "create": "create --role read --name NAME",
    "list": "list",
    "revoke": "revoke NAME",
}


def _end(text: str) -> datetime | timedelta:
    length = _LENGTH.fullmatch(text)
    if length is not None:
        return timedelta(**{_UNITS[length[2]]: int(length[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--expires {one_line(text)} is no time.", "Write 90d, 12h or 30m, or a date such as 2030-01-31."
        ) from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    if at <= datetime.now(UTC):
        raise CommandError(
            f"--expires {one_line(text)} is over already.", "Write an instant to come, or how long: 90d."
        )
    return at


async def _create(
    screen: Screen, url: str, name: str, role: str, expires: datetime | timedelta | None
) -> None:
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            secret = await client.create_token(name, role, expires, by=asker())
            made = next(each for each in await client.tokens() if each.name == name)
        _show_made(screen, secret, made)
        return
    try:
        async with written(url) as store:
            now = datetime.now(UTC)
            secret, made = await create_token(store, name, role, now=now, by=asker(), expires=expires)
    except StoreUnavailable as error:
        raise _held(url, error) from error
    _show_made(screen, secret, made)


def _show_made(screen: Screen, secret: str, made: AccessToken) -> None:
    if screen.json:
        screen.document({"token": secret, **_document(made)})
        return
    screen.reveal(secret)
    screen.note(f"It is shown this once. Whoever has it may {_MAY[made.role]} as {made.name}.")


async def _list(screen: Screen, url: str) -> None:
    found: Sequence[AccessToken]
    if isinstance(url, ServerUrl):
        async with asked(url) as client:
            found = await client.tokens()
    else:
        async with history(url) as store:
            found = await store.tokens.all()
    if screen.json:
        screen.document({"tokens": [_document(each) for each in found]})
    elif found:
        screen.show(_table(screen, found))
    else:
        screen.note(f"No tokens in {shown(url)}: `flowstone token create --role read --name NAME` makes one.")


async def _revoke(screen: Screen, url: str, name: str) -> None:
    try:
        if isinstance(url, ServerUrl):
            async with asked(url) as client:
                revoked = await client.revoke_token(name, by=asker())
        else:
            async with written(url) as store:
                revoked = await revoke_token(store, name, now=datetime.now(UTC), by=asker())
    except StoreUnavailable as error:
        raise _held(url, error) from error
    if screen.json:
        screen.document(_document(revoked))
    else:
        screen.show(f"{revoked.name} is worth nothing from now on, and its sessions have ended")


def _held(url: str, error: StoreUnavailable) -> StoreUnavailable:
    """The error for a store that another process may hold: that process can be asked."""
    if shares(url) or error.remedies is None:
        return error
    remedy = (
        "Ask the `flowstone serve` that holds it: POST and DELETE at its /api/v1/tokens, see docs/web.md."
    )
    return StoreUnavailable(error.sentence, remedies=Remedies(error.remedies.python, remedy))


def _document(known: AccessToken) -> dict[str, Any]:
    return {
        "name": known.name,
        "role": str(known.role),
        "created_at": known.created_at,
        "created_by": known.created_by,
        "expires_at": known.expires_at,
        "used_at": known.used_at,
        "revoked_at": known.revoked_at,
    }


def _table(screen: Screen, found: Sequence[AccessToken]) -> Table:
    now = datetime.now(UTC)
    made = table(screen, "name", "role", "made", "by", "used", "until")
    for known in found:
        made.add_row(
            one_line(known.name),
            known.role,
            ago(known.created_at, now),
            one_line(known.created_by or "-"),
            ago(known.used_at, now),
            _until(known, now),
        )
    return made


def _until(known: AccessToken, now: datetime) -> str:
    if known.revoked_at is not None:
        return f"revoked {ago(known.revoked_at, now)}"
    if known.expires_at is None:
        return "-"
    return until(known.expires_at, now) if now < known.expires_at else f"over {ago(known.expires_at, now)}"
