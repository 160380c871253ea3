"""Where a command writes: its result on stdout, everything else on stderr, an error as one sentence.

Every command body stands inside `with Screen(...) as screen`. The screen turns exceptions into a sentence
and an exit status, and with `--json` keeps stdout for one document: whatever a pipeline prints, in this
process or in one it starts, goes to stderr instead.
"""

from __future__ import annotations

import contextlib
import json as json_module
import os
import sys
import traceback
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TextIO

import typer
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from flowstone.cli import environment
from flowstone.cli.logs import LogLines, logs_on_stderr
from flowstone.cli.problem import BROKEN_PIPE, OK, CommandError, describe
from flowstone.masking import masked
from flowstone.printable import indented, printable, printable_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from types import TracebackType

    from rich.console import ConsoleOptions, RenderableType

__all__ = ["Screen"]

_WIDE = 120
"""Columns from which a terminal counts as wide."""

_UNLIMITED = 1_000
"""Columns assumed where nobody looks: output that another program reads is not folded."""


class Screen:
    """One command's output.

    Args:
        json: Write one JSON document to stdout instead of text.
        debug: Show tracebacks, and every log record.
        log_level: The least level of log records that are shown. Default: `FLOWSTONE_LOG_LEVEL`, else "info".

    Leaving the block raises `typer.Exit` with `status` unless it is 0.
    """

    def __init__(self, *, json: bool = False, debug: bool = False, log_level: str | None = None) -> None:
        self.json = json
        self.debug = debug
        self.status = OK
        self._log_level = "debug" if debug else log_level
        self._logs: LogLines | None = None
        self._document: TextIO = sys.stdout
        self._cleanup = ExitStack()

    @cached_property
    def out(self) -> Console:
        """The console of results."""
        return _console(sys.stdout)

    @cached_property
    def err(self) -> Console:
        """The console of progress, notes and errors."""
        return _console(sys.stderr)

    @property
    def terminal(self) -> bool:
        """Whether people look at stdout."""
        return sys.stdout.isatty() and self.out.is_terminal

    @property
    def wide(self) -> bool:
        """Whether a table may have every column: a wide terminal, or a program that reads."""
        return not self.terminal or self.out.width >= _WIDE

    @property
    def live(self) -> bool:
        """Whether a moving display can be drawn on stderr."""
        return sys.stderr.isatty() and self.err.is_terminal and not self.err.is_dumb_terminal

    def show(self, *renderables: RenderableType) -> None:
        """Write text or tables to stdout; strings are taken literally."""
        for renderable in renderables:
            if self.terminal:
                self.out.print(_literal(renderable), soft_wrap=isinstance(renderable, str))
            else:
                self._print_plain(renderable)

    def _print_plain(self, renderable: RenderableType) -> None:
        """Without the blanks that fill up a table's last column: a program reads this."""
        with self.out.capture() as captured:
            self.out.print(_literal(renderable), soft_wrap=isinstance(renderable, str))
        lines = captured.get().split("\n")
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in lines[:-1]))

    def reveal(self, secret: str) -> None:
        """Write a secret that was asked for to stdout, which is masked in whatever else is written."""
        sys.stdout.write(f"{secret}\n")

    def note(self, text: str, style: str = "") -> None:
        """Write a line for people to stderr."""
        self.err.print(Text(printable(masked(text)), style=style), soft_wrap=True)

    def listen_to(self, module: str) -> None:
        """Show what the package of a pipeline's module logs, also where it is installed as libraries are."""
        if self._logs is not None and module.replace(".", "").isidentifier():
            self._logs.packages.add(module.partition(".")[0])

    def document(self, value: object) -> None:
        """Write the JSON document of this command to stdout."""
        self._document.write(_json(value) + "\n")
        self._document.flush()

    def line(self, value: object) -> None:
        """Write one of many JSON documents to stdout, on a line of its own."""
        text = json_module.dumps(value, ensure_ascii=False, default=_json_default)
        self._document.write(printable_json(text) + "\n")
        self._document.flush()

    async def long_document(self, head: dict[str, Any], name: str, items: AsyncIterator[object]) -> None:
        """Write a JSON document whose last field is a list too long to be held: item by item."""
        write = self._document.write
        write(_json(head).removesuffix("\n}") + f',\n  "{name}": [')
        before = first = "\n    "
        async for item in items:
            write(before + _json(item).replace("\n", "\n    "))
            before = ",\n    "
        write("]\n}\n" if before == first else "\n  ]\n}\n")
        self._document.flush()

    def __enter__(self) -> Self:
        for stream in (sys.stdout, sys.stderr):
            _never_refuse_a_character(stream)
        if self.json:
            self._document = self._cleanup.enter_context(_stdout_for_the_document())
        self._logs = self._cleanup.enter_context(logs_on_stderr(self._log_level, colours=self.live))
        for sentence in environment.misspelt():
            self.note(sentence, "yellow")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and not isinstance(error, (typer.Exit, SystemExit)):
                self._report(error)
            self._cleanup.close()
            sys.stdout.flush()
        except BrokenPipeError:
            _give_up_stdout()
            self.status = BROKEN_PIPE
        if isinstance(error, (typer.Exit, SystemExit)):
            return
        if self.status != OK:
            raise typer.Exit(self.status) from None

    def _report(self, error: BaseException) -> None:
        if isinstance(error, BrokenPipeError):
            raise error
        problem = describe(error)
        self.status = problem.status
        if self.debug:
            self.note(_debug_text(error))
        head = Text("error: ", style="bold red") if problem.status != 130 else Text("")
        sentence = printable(f"{problem.message} {problem.remedy}".rstrip())
        self.err.print(head + Text(indented(sentence)), soft_wrap=True)
        if self.json:
            self.document(problem.document())


def _console(stream: TextIO) -> Console:
    width = None if stream.isatty() else _UNLIMITED
    return _PrintableConsole(file=stream, width=width, highlight=False, markup=False, emoji=False)


class _PrintableConsole(Console):
    """The exit to the terminal: the only escape sequences that pass are those of styles and of the live display."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def _literal(renderable: RenderableType) -> RenderableType:
    return Text(printable(masked(renderable))) if isinstance(renderable, str) else renderable


def _debug_text(error: BaseException) -> str:
    if isinstance(error, CommandError) and error.debug:
        return error.debug.rstrip()
    return "".join(traceback.format_exception(error)).rstrip()


def _json(value: object) -> str:
    text = json_module.dumps(value, indent=2, ensure_ascii=False, default=_json_default, allow_nan=False)
    return printable_json(text)


def _json_default(value: Any) -> object:
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat is not None else str(value)


def _never_refuse_a_character(stream: TextIO) -> None:
    """A terminal without UTF-8 gets question marks, not a crash."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")


@contextlib.contextmanager
def _stdout_for_the_document() -> Iterator[TextIO]:
    """Hand out the real stdout and send everybody else's to stderr, that of child processes included."""
    original = sys.stdout
    original.flush()
    try:
        descriptor, elsewhere = original.fileno(), sys.stderr.fileno()
    except (OSError, ValueError):  # Not a file: somebody captures the output of this process in memory.
        with contextlib.redirect_stdout(sys.stderr):
            yield original
        return
    # A lone surrogate becomes an escape, which is what JSON calls it as well.
    with os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace") as document:
        os.dup2(elsewhere, descriptor)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield document
        finally:
            os.dup2(document.fileno(), descriptor)


def _give_up_stdout() -> None:
    """The reader went away: nothing written from here on, nor the interpreter's last flush, may complain."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
