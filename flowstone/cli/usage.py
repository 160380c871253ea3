"""Wrong usage, as the argument parser words it: what was typed is repeated in a form that can be shown."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

from flowstone.masking import masked
from flowstone.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CarefulGroup"]


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
