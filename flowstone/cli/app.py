"""The commands of `flowstone`, in the order its help lists them, and how wrong usage is shown."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from flowstone.cli.commands.assets import assets
from flowstone.cli.commands.backfill import backfill
from flowstone.cli.commands.cancel import cancel
from flowstone.cli.commands.demo import demo
from flowstone.cli.commands.doctor import doctor
from flowstone.cli.commands.graph import graph
from flowstone.cli.commands.lineage import lineage
from flowstone.cli.commands.materialize import materialize
from flowstone.cli.commands.migrate import migrate
from flowstone.cli.commands.partitions import partitions
from flowstone.cli.commands.plan import plan
from flowstone.cli.commands.run import run
from flowstone.cli.commands.runs import runs
from flowstone.cli.commands.serve import serve
from flowstone.cli.commands.status import status
from flowstone.cli.commands.tree import tree
from flowstone.cli.commands.worker import worker
from flowstone.masking import masked
from flowstone.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["CarefulGroup", "app"]


class CarefulGroup(TyperGroup):
    """The commands. An argument may come from a script, with a password or with control sequences in it."""

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

_START = "Start here"
_DEFINED = "What is defined"
_COMPUTE = "Compute"
_REMEMBERED = "What happened"
_OPERATE = "Operate"

app.command(rich_help_panel=_START)(demo)
app.command(rich_help_panel=_START)(doctor)
app.command(rich_help_panel=_DEFINED)(assets)
app.command(rich_help_panel=_DEFINED)(graph)
app.command(rich_help_panel=_DEFINED)(partitions)
app.command(rich_help_panel=_COMPUTE)(materialize)
app.command(rich_help_panel=_COMPUTE)(backfill)
app.command(rich_help_panel=_COMPUTE)(plan)
app.command(rich_help_panel=_REMEMBERED)(runs)
app.command(rich_help_panel=_REMEMBERED)(run)
app.command(rich_help_panel=_REMEMBERED)(status)
app.command(rich_help_panel=_REMEMBERED)(lineage)
app.command(rich_help_panel=_OPERATE)(serve)
app.command(rich_help_panel=_OPERATE)(worker)
app.command(rich_help_panel=_OPERATE)(cancel)
app.command(rich_help_panel=_OPERATE)(tree)
app.command(rich_help_panel=_OPERATE)(migrate)


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
