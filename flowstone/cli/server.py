"""`--server URL`: a command asks a server instead of opening a store.

Every command that takes `--store` takes `--server` beside it, and the pipeline is then the server's: its words name
none. The two options are added here to each of them, and what they say arrives as the command's store, which is a
`ServerUrl` then. A token is never a word of a command line, where every user of the machine could read it.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import typer

from flowstone.cli.problem import CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from flowstone.client import Client

__all__ = [
    "LOCAL",
    "OF_DEFINITIONS",
    "ServerUrl",
    "add_server_options",
    "asked",
    "chosen_server",
    "without_target",
]

LOCAL: Final = frozenset({"serve", "worker", "migrate", "doctor", "demo"})
"""Commands that are about this machine or about a store."""

OF_DEFINITIONS: Final = frozenset({"assets", "graph"})
"""Commands that need no store: a server that is to be asked is given to them instead of the pipeline."""

_SERVER: Final = "flowstone.server"
_TOKEN_FILE: Final = "flowstone.token_file"  # noqa: S105 - the name of an entry


class ServerUrl(str):
    """The address of a server where a command takes the URL of a store.

    Attributes:
        token_file: The file with the token; None: `FLOWSTONE_TOKEN` has it, if anything does.
    """

    __slots__ = ("token_file",)

    token_file: str | None

    def __new__(cls, url: str, token_file: str | None = None) -> Self:
        made = super().__new__(cls, url)
        made.token_file = token_file
        return made


def _remember_server(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:
    source = context.get_parameter_source(parameter.name or "")
    context.meta[_SERVER] = (value, source is not None and source.name == "COMMANDLINE")
    return value


def _remember_file(context: typer.Context, parameter: typer.CallbackParam, value: str | None) -> str | None:  # noqa: ARG001 - the parser's signature
    context.meta[_TOKEN_FILE] = value
    return value


def _options(
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            envvar="FLOWSTONE_SERVER",
            help="Ask this server instead of a store: https://flow.example.com; its token is in FLOWSTONE_TOKEN "
            "or in --token-file.",
            callback=_remember_server,
            is_eager=True,
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            envvar="FLOWSTONE_TOKEN_FILE",
            help="With --server: a file with the token.",
            callback=_remember_file,
            is_eager=True,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Where to ask."""


def add_server_options(command: Any) -> None:
    """Have a command take `--server` and `--token-file`; it is given what they say as its store."""
    alone = typer.Typer(add_completion=False)
    alone.command()(_options)
    for each in typer.main.get_command(alone).params:
        if each.name in {"server", "token_file"}:
            each.expose_value = False
            command.params.append(each)


def without_target(command: Any, words: Sequence[str]) -> bool:
    """Whether the line names a server, so that it names no pipeline.

    Args:
        command: The parser's command.
        words: The line.
    """
    options = {word.partition("=")[0] for word in words}
    if "--server" in options:
        return True
    return bool(os.environ.get("FLOWSTONE_SERVER")) and "--store" not in options and command.name not in LOCAL


def chosen_server(context: typer.Context, *, store_is_said: bool) -> ServerUrl | None:
    """The server that a line asks; None if it asks a store.

    Args:
        context: The line as it is parsed.
        store_is_said: Whether it has `--store` itself.

    Raises:
        BadParameter: It has both, or its command cannot ask a server.
    """
    url, is_said = context.meta.get(_SERVER, (None, False))
    name = context.command.name
    if not url or (not is_said and (store_is_said or name in LOCAL)):
        return None
    if name in LOCAL:
        raise typer.BadParameter(
            f"`flowstone {name}` works on this machine, and not through a server: leave --server out."
        )
    if store_is_said:
        raise typer.BadParameter("--store and --server are two places: give one of them.")
    return ServerUrl(url, context.meta.get(_TOKEN_FILE))


@asynccontextmanager
async def asked(url: ServerUrl) -> AsyncIterator[Client]:
    """A client of the server. Raises `CommandError` where it cannot be made."""
    from flowstone.client import Client  # noqa: PLC0415 - for servers only

    try:
        client = Client(str(url), _token(url), insecure=os.environ.get("FLOWSTONE_INSECURE") == "1")
    except ModuleNotFoundError:
        raise CommandError("--server needs httpx2.", "`pip install 'flowstone[http]'` installs it.") from None
    async with client:
        yield client


def _token(url: ServerUrl) -> str | None:
    if url.token_file is None:
        return os.environ.get("FLOWSTONE_TOKEN") or None
    try:
        token = Path(url.token_file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--token-file cannot be read: {error}.") from None
    if not token:
        raise CommandError("--token-file is empty.", "`flowstone token create` makes a token.")
    return token
