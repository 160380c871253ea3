"""Which partitions: `--partition K` as often as needed, or `--start A --end B`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from flowstone.cli.problem import CommandError

__all__ = ["End", "Partitions", "Start", "refuse_both"]

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
