"""The commands of `flowstone`, in the order its help lists them, and how wrong usage is shown.

A command is imported when it is used. `--version` and a mistyped name need none of them, and most of them need
little of what the others do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from flowstone.masking import masked
from flowstone.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["CarefulGroup", "app"]


_START = "Start here"
_DEFINED = "What is defined"
_COMPUTE = "Compute"
_REMEMBERED = "What happened"
_OPERATE = "Operate"

_COMMANDS: Final = {
    "demo": _START,
    "doctor": _START,
    "assets": _DEFINED,
    "graph": _DEFINED,
    "partitions": _DEFINED,
    "materialize": _COMPUTE,
    "backfill": _COMPUTE,
    "plan": _COMPUTE,
    "runs": _REMEMBERED,
    "run": _REMEMBERED,
    "items": _REMEMBERED,
    "status": _REMEMBERED,
    "lineage": _REMEMBERED,
    "serve": _OPERATE,
    "worker": _OPERATE,
    "cancel": _OPERATE,
    "approvals": _OPERATE,
    "approve": _OPERATE,
    "reject": _OPERATE,
    "signal": _OPERATE,
    "tree": _OPERATE,
    "migrate": _OPERATE,
}
"""The part of the help in which each is listed. Its module, its function and the command have one name."""

_ELSEWHERE: Final = {"approve": "approvals", "reject": "approvals", "signal": "approvals"}
"""Those whose module has another one, because it has several of them."""


class _Commands(Mapping[str, Any]):
    """The commands by name, each made when it is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        panel = _COMMANDS[name]
        if name not in self._made:
            alone = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
            module = import_module(f"flowstone.cli.commands.{_ELSEWHERE.get(name, name)}")
            function = getattr(module, name)
            alone.command(name, rich_help_panel=panel)(function)
            self._made[name] = typer.main.get_command(alone)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in _COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class CarefulGroup(TyperGroup):
    """The commands. An argument may come from a script, with a password or with control sequences in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Commands()  # type: ignore[assignment] # none is ever added

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _shown():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _shown():
            return super().invoke(ctx)


@contextlib.contextmanager
def _shown() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The parser's errors: typer has brought its own since it carries its parser with it.
        message = getattr(error, "message", None)
        if hasattr(error, "format_message") and isinstance(message, str):
            # What parses the line may be built on pydantic, whose own words are not for this screen.
            error.message = printable(masked(message.removeprefix("Value error, ")))  # type: ignore[attr-defined] # as above
        raise


app = typer.Typer(
    name="flowstone",
    cls=CarefulGroup,
    help="Data assets, computed in the order of their dependencies by supervised asyncio actors.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    # Our own screen words every error; a traceback with everybody's local variables would leak secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - slow to import, rarely asked

        typer.echo(f"flowstone {version('flowstone')}")
        raise typer.Exit


@app.callback()
def flowstone(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Data assets, computed in the order of their dependencies by supervised asyncio actors.

    Exit status: 0 all succeeded, 1 something failed, 2 wrong usage, 130 interrupted.
    """
