"""The arguments and options that commands share, so that one word means one thing everywhere.

What an option takes is said in one sentence, whatever parses the line.
"""

from __future__ import annotations

import math
import re
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, TypeVar

import typer

from flowstone.cli.default_store import DefaultStore, default_store
from flowstone.cli.problem import CommandError
from flowstone.cli.server import chosen_server

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = [
    "AskedBy",
    "AssetAfterPipeline",
    "AssetFilter",
    "AssetName",
    "AssetSelection",
    "Debug",
    "End",
    "Json",
    "LogLevel",
    "MaxParallel",
    "OptionalAssetName",
    "PartitionKey",
    "Partitions",
    "PipelineOption",
    "PipelineOrAsset",
    "RefreshChoice",
    "Start",
    "StoreUrl",
    "Target",
    "refuse_both",
    "seconds",
    "whole",
]


N = TypeVar("N", int, float)

_MOST: Final = 2**31 - 1

_PLACE: Final = re.compile(r"(?!tag:)(?=.*(\.py$|[:/]))[\w./~-]{1,300}(:[\w.]*)?")
"""A file, or a module and the name of a pipeline in it; `tag:team` is a selection of assets."""


def whole(
    flag: str, text: str, *, least: int | None = None, most: int | None = None, envvar: str | None = None
) -> Any:
    """An option that takes a whole number, of at least `least` if that is given; `text` is its help.

    It is at most `most`, or what every store can count; without the option it is what `envvar` says.
    """
    parser = _parser(int, "a whole number", least, _MOST if most is None else most)
    return typer.Option(flag, metavar="N", parser=parser, help=text, envvar=envvar)


def seconds(flag: str, text: str, *, least: float) -> Any:
    """An option that takes a number of seconds."""
    return typer.Option(flag, metavar="S", parser=_parser(float, "a number of seconds", least), help=text)


def _parser(
    read: Callable[[str], N], what: str, least: N | None, most: float = math.inf
) -> Callable[[str], N]:
    takes = what if least is None else f"{what} of at least {least}"

    def parse(text: str) -> N:
        try:
            value = read(text)
        except ValueError:
            value = None
        if value is not None and abs(value) > most:
            raise typer.BadParameter(f"it takes {what} of at most {most:,}, not {str(text)!r:.100}.")
        if value is None or not math.isfinite(value) or (least is not None and value < least):
            raise typer.BadParameter(f"it takes {takes}, not {str(text)!r:.100}.")
        return value

    return parse


def _chosen(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """The URL, marked if it is neither from the command line nor from the environment."""
    source = context.get_parameter_source(parameter.name or "")
    server = chosen_server(context, store_is_said=source is not None and source.name == "COMMANDLINE")
    if server is not None:
        return server
    return DefaultStore(value) if source is not None and source.name.startswith("DEFAULT") else value


RefreshChoice: TypeAlias = Literal["all", "stale", "missing"]
"""Which existing values are computed again: all of them, those that are out of date, or only the missing."""

Target: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:PIPELINE",
        help="A dotted module or a .py file, and the pipeline in it; MODULE alone where it has only one.",
        show_default=False,
    ),
]


def _asset_name(context: typer.Context, parameter: typer.CallbackParam, word: str | None) -> str | None:
    """The word; raises `BadParameter` for what names no asset, but a pipeline, or a partition as we show it."""
    given = {each.name for each in context.command.params}
    if word is None or word.isidentifier():
        return word
    if _PLACE.fullmatch(word) is not None:
        if "second" in given:
            remedy = f"name the asset after it, as in `flowstone {context.info_name} {word} ASSET`."
        elif "pipeline" in given:
            remedy = f"name the asset, and its pipeline by --pipeline {word}."
        elif "target" in given and parameter.name == "asset":
            remedy = "the pipeline comes first, and then the asset."
        else:
            remedy = "name one of its assets; the pipeline is not needed."
        raise typer.BadParameter(f"{word!r:.200} is a pipeline, not an asset: {remedy}")
    asset, bracket, key = word.removesuffix("]").partition("[")
    if bracket and asset.isidentifier() and key.isprintable() and "partition" in given:
        raise typer.BadParameter(f"{word!r:.200} is a partition: write {asset} --partition {quote(key)}.")
    return word


AssetName: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="ASSET", help="The asset's name.", callback=_asset_name, show_default=False),
]


def _second_asset(context: typer.Context, parameter: typer.CallbackParam, word: str | None) -> str | None:
    """As `_asset_name`, of the last of two words that there may be."""
    _asset_name(context, parameter, context.params["first"] if word is None else word)
    return word


PipelineOrAsset: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="[MODULE:PIPELINE] ASSET",
        help="The asset's name; and before it, if you like, the pipeline that defines it.",
        show_default=False,
    ),
]
AssetAfterPipeline: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="ASSET", callback=_second_asset, hidden=True, show_default=False)
]
AssetSelection: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="ASSET",
        help="The asset's name, or a selection of several: raw+, +report, tag:team=core, 'a,b', '* -page'.",
        callback=_asset_name,
        show_default=False,
    ),
]
AskedBy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="NAME", help="Who asks for it. Default: the user of this machine.", show_default=False
    ),
]

AssetFilter: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--asset",
        metavar="ASSET",
        help="Only those of this asset.",
        callback=_asset_name,
        show_default=False,
    ),
]
OptionalAssetName: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="ASSET", help="The asset's name.", callback=_asset_name, show_default=False),
]
PartitionKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--partition",
        metavar="KEY",
        help="The partition, such as 2025-01-15 on a daily asset.",
        show_default=False,
    ),
]
StoreUrl: TypeAlias = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="FLOWSTONE_STORE",
        default_factory=default_store,
        callback=_chosen,
        help="Where runs are remembered: postgresql://…, embedded://DIR, file://DIR, or memory:// for this "
        "command only; default: embedded://.flowstone/pg where its extra is installed, else file://.flowstone.",
        show_default=False,
    ),
]
MaxParallel: TypeAlias = Annotated[
    int | None,
    whole("--max-parallel", "Steps that run at a time.", least=1),
]
PipelineOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pipeline",
        metavar="MODULE:PIPELINE",
        help="The pipeline that defines the asset: checks the name and reads partitions by its set.",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to stdout.", show_default=False)
]
Debug: TypeAlias = Annotated[
    bool, typer.Option("--debug", help="Show tracebacks and detailed logs.", show_default=False)
]
LogLevel: TypeAlias = Annotated[
    Literal["debug", "info", "warning", "error"] | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help="Show what is logged from this level on: debug, info, warning or error; default: info.",
        show_default=False,
    ),
]


Start: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--start", metavar="KEY", help="The first partition; default: the set's.", show_default=False
    ),
]
End: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--end", metavar="KEY", help="The last partition, included; default: the set's.", show_default=False
    ),
]
Partitions: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--partition", metavar="KEY", help="A partition; may be repeated.", show_default=False),
]


def refuse_both(partitions: list[str] | None, start: str | None, end: str | None) -> None:
    """Raise `CommandError` if partitions are named one by one and by a range."""
    if partitions and (start is not None or end is not None):
        raise CommandError(
            "--partition names partitions one by one and --start/--end a range.", "Use the one or the other."
        )
