"""The commands of `flowstone`, in the order its help lists them, and how wrong usage is shown.

A command is imported when it is used. `--help`, `--version` and a mistyped name need none of them, and most of them
need little of what the others do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from flowstone.cli.conversion import convert_simply
from flowstone.cli.server import OF_DEFINITIONS, ServerUrl, add_server_options, chosen_server, without_target
from flowstone.masking import masked
from flowstone.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["CarefulCommand", "CarefulGroup", "app"]


_COMMANDS: Final = {
    "Start here": {
        "demo": "See it work: four years of real weather, computed and drawn.",
        "doctor": "Check whether pipelines can run here, and what to do if not.",
    },
    "What is defined": {
        "assets": "List the assets of a pipeline.",
        "graph": "Draw the graph of a pipeline.",
        "partitions": "List, add or remove the keys of a dynamic partition set.",
    },
    "Compute": {
        "materialize": "Compute assets; with --upstream, everything they need as well.",
        "backfill": "Compute many partitions of an asset, or of several, in one run.",
        "plan": "Show what would run and why, without running it.",
        "invalidate": "Make values no longer current, to have them computed again.",
    },
    "What happened": {
        "runs": "List the newest runs.",
        "run": "Show a run: what was asked for, how far it is, its steps.",
        "logs": "Show what a run's attempts logged and printed.",
        "items": "Show the items of a step, and why some of them failed.",
        "status": "Show whether an asset has a value, and its newest records.",
        "why": "Show why an asset is as it is, and what mends it.",
        "lineage": "Show what a value was computed from, and what from it.",
        "audit": "List who did what, the newest first.",
    },
    "Operate": {
        "serve": "Run what is submitted and scheduled until told to stop.",
        "worker": "Help with a pipeline's runs until told to stop.",
        "cancel": "Stop a run, whichever node drives it.",
        "retry": "Compute again what did not succeed in a run.",
        "approvals": "List what somebody is to approve, the newest first.",
        "approve": "Approve what a step waits for: it goes on.",
        "reject": "Reject what a step waits for: it fails.",
        "signal": "Send a step the signal for which it handed out a token.",
        "automations": "List what starts runs by itself, and what it did last.",
        "pause": "Keep a schedule or sensor from acting until it is resumed.",
        "resume": "Have what was paused act again.",
        "fire": "Have a schedule fire, or a sensor look, now.",
        "pools": "List pools and who holds their slots; or change one.",
        "token": "Make, list or revoke tokens for the web pages and the API.",
        "tree": "Show the supervision trees of the nodes, or of a new runtime.",
        "migrate": "Bring a store's database up to date.",
    },
}
"""The commands, by the part of the help that lists them, each with the first sentence of its own help.

The module of a command, its function and the command have one name.
"""

_NAMES: Final = frozenset(name for part in _COMMANDS.values() for name in part)

_MODULES: Final = {
    **dict.fromkeys(("approve", "reject", "signal"), "approvals"),
    **dict.fromkeys(("pause", "resume"), "automations"),
}
"""Those whose module has another one, because it has several of them."""


class _Commands(Mapping[str, Any]):
    """The commands by name, each made when it is asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in _NAMES:
            raise KeyError(name)
        if name not in self._made:
            alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
            module = import_module(f"flowstone.cli.commands.{_MODULES.get(name, name)}")
            function = getattr(module, name)
            alone.command(name, cls=CarefulCommand)(function)
            self._made[name] = made = typer.main.get_command(alone)
            if name in OF_DEFINITIONS or any(each.name == "store" for each in made.params):
                add_server_options(made)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in _NAMES

    def __iter__(self) -> Iterator[str]:
        return (name for part in _COMMANDS.values() for name in part)

    def __len__(self) -> int:
        return len(_NAMES)


class CarefulCommand(TyperCommand):
    """A command that loads little for the words it takes, and says what to write instead of others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if any(each.name == "target" for each in self.params) and without_target(self, args):
            # The pipeline is the server's; the first word is what it would be behind one.
            self.params = [each for each in self.params if each.name != "target"]
            ctx.params["target"] = ""
        convert_simply(self.get_params(ctx))
        ctx.allow_extra_args = True
        left = super().parse_args(ctx, args)
        if self.name in OF_DEFINITIONS and (server := chosen_server(ctx, store_is_said=False)) is not None:
            ctx.params["target"] = server
        if isinstance(ctx.params.get("store"), ServerUrl) and ctx.params.get("pipeline"):
            ctx.fail(
                "--pipeline names one that is here, and not through a server, which has its own: leave it out."
            )
        if left and not ctx.resilient_parsing:
            from flowstone.cli.mistakes import word_too_many  # noqa: PLC0415 - for a wrong line only

            ctx.fail(word_too_many(self, left))
        return left

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The options and arguments in the line that says how a command is used; two words may share one."""
        shown = [each for each in self.get_params(ctx) if not getattr(each, "hidden", False)]
        pieces = [[str(each.metavar)] if _is_shared(each) else each.get_usage_pieces(ctx) for each in shown]
        return [self.options_metavar or "", *(piece for found in pieces for piece in found)]


def _is_shared(parameter: Any) -> bool:
    """Whether an argument stands for two words, of which the first may be left out."""
    return parameter.param_type_name == "argument" and str(parameter.metavar).startswith("[")


class CarefulGroup(TyperGroup):
    """The commands. An argument may come from a script, with a password or with control sequences in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Commands()  # type: ignore[assignment] # none is ever added

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the parser's signature
        """List the commands by what they are for, without importing them."""
        for part, commands in _COMMANDS.items():
            with formatter.section(part):
                formatter.write_dl(list(commands.items()))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        convert_simply(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in _NAMES:
            from flowstone.cli.mistakes import elsewhere  # noqa: PLC0415 - for a wrong line only

            if (hint := elsewhere(args[0])) is not None:
                ctx.fail(f"There is no command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

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
    epilog=(
        "Exit status: 0 all succeeded, 1 something failed, 2 wrong usage, 75 not done yet (the run waits, or the "
        "node was ended by force), 130 interrupted, 141 nobody reads the output."
    ),
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,  # Panels and colours of a help text or a wrong usage take twice as long as the rest.
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
    """Data assets, computed in the order of their dependencies by supervised asyncio actors."""
