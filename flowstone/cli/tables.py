"""Tables that read well on a terminal and cut well in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from flowstone.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from flowstone.cli.screen import Screen

__all__ = ["table"]


class _PrintableTable(Table):
    """Cells are written out before their width is measured; the screen would do it only afterwards."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(printable(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def table(screen: Screen, *columns: str, right: tuple[str, ...] = (), fold: str = "") -> Table:
    """An empty table: ruled on a terminal, bare columns elsewhere.

    Args:
        screen: Where it will be printed.
        columns: The headings.
        right: Headings of columns aligned to the right: numbers.
        fold: Heading of the column that is folded on a narrow terminal; default: the last one.
    """
    terminal = screen.terminal
    made = _PrintableTable(
        box=SIMPLE_HEAD if terminal else None,
        pad_edge=False,
        show_edge=False,
        header_style="bold" if terminal else "",
        padding=(0, 1 if terminal else 2, 0, 0),
    )
    for column in columns:
        gives_way = column == (fold or columns[-1])
        made.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=not gives_way,
            overflow="fold" if gives_way else "ellipsis",
            min_width=min(len(column), 8),
        )
    return made
