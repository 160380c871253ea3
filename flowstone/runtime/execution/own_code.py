"""Which frames of a traceback are the user's own, and where the last of them stands: `file:line`.

Own is what is neither FlowStone's, nor the interpreter's, nor installed: an error inside a data frame library is
looked for where the library was called. A pipeline that is itself installed, as in production, has no such
frame; then the package of the function that was called is its own.

Nothing here asks an exception what it is, see `guard.py`; yet a frame's source may come from a module loader of
the user's, which may raise: callers stand inside the guard.
"""

from __future__ import annotations

import linecache
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["is_own", "leaves", "linked", "own_traceback", "place_of", "without_our_frames"]

_OURS: Final = str(Path(__file__).parents[2]) + os.sep
_STANDARD: Final = str(Path(os.__file__).parent) + os.sep
_INSTALLED: Final = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
_COMPILED: Final = (".pyx", ".pxi", ".pxd")
_MOST_FRAMES: Final = 20
_MOST_LINKED: Final = 5
_MOST_LEAVES: Final = 10
_BECAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_MEANWHILE: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"

_traceback_slot = BaseException.__dict__["__traceback__"]
_cause_of = BaseException.__dict__["__cause__"].__get__
_context_of = BaseException.__dict__["__context__"].__get__
_suppresses_context = BaseException.__dict__["__suppress_context__"].__get__
_members_of = BaseExceptionGroup.__dict__["exceptions"].__get__
_syntax_file_of = SyntaxError.__dict__["filename"].__get__
_syntax_line_of = SyntaxError.__dict__["lineno"].__get__


class _Place(NamedTuple):
    frame: FrameType
    line: int

    @property
    def file(self) -> str:
        return self.frame.f_code.co_filename

    @property
    def package(self) -> str:
        name = self.frame.f_globals.get("__name__")
        return name.partition(".")[0] if type(name) is str else ""


def place_of(error: BaseException, *, installed: bool = True) -> str:
    """`file:line` of the last own frame; of a syntax error, the place it complains of; empty if there is none.

    Args:
        error: The exception; if no own code raised it, what led to it is looked at.
        installed: Whether an installed package may count as own, see the module docstring.
    """
    for each, _ in reversed(linked(error)):
        if issubclass(type(each), SyntaxError):
            file, line = _syntax_file_of(each), _syntax_line_of(each)
            if type(file) is str and type(line) is int:
                return f"{file}:{line}"
        if places := _own_places(each, installed=installed):
            return f"{places[-1].file}:{places[-1].line}"
    return ""


def own_traceback(
    error: BaseException, message_of: Callable[[BaseException], str], *, installed: bool = True
) -> str:
    """What a traceback would say of the own frames: of what led to the exception, of it, of a group's leaves."""
    text = ""
    for each, how in linked(error):
        text += _section(each, message_of, installed=installed) + how
    for leaf, _ in leaves(error):
        text += "\n" + _section(leaf, message_of, installed=installed)
    return text


def linked(error: BaseException) -> list[tuple[BaseException, str]]:
    """What led to an exception, oldest first, and the exception itself; each with how it led to the next one."""
    found = [(error, "")]
    while len(found) < _MOST_LINKED:
        last = found[-1][0]
        cause, context = _cause_of(last), _context_of(last)
        if cause is not None:
            before = (cause, _BECAUSE)
        elif context is not None and not _suppresses_context(last):
            before = (context, _MEANWHILE)
        else:
            break
        if any(before[0] is each for each, _ in found):
            break
        found.append(before)
    return found[::-1]


def leaves(error: BaseException) -> list[tuple[BaseException, int]]:
    """The first exceptions inside a group, however deep, each with how many there are beside these; or none."""
    if not issubclass(type(error), BaseExceptionGroup):
        return []
    found: list[BaseException] = []
    more = 0
    waiting = list(reversed(_members_of(error)))
    while waiting:
        each = waiting.pop()
        if issubclass(type(each), BaseExceptionGroup):
            waiting.extend(reversed(_members_of(each)))
        elif len(found) < _MOST_LEAVES:
            found.append(each)
        else:
            more += 1
    return [(leaf, more) for leaf in found]


def without_our_frames(error: BaseException) -> None:
    """Let the traceback of an exception begin where the user's function was called."""
    trace = _traceback_slot.__get__(error)
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    if trace is not None:
        _traceback_slot.__set__(error, trace)


def _section(error: BaseException, message_of: Callable[[BaseException], str], *, installed: bool) -> str:
    places = _own_places(error, installed=installed)[-_MOST_FRAMES:]
    return f"{''.join(map(_shown, places))}{message_of(error)}\n"


def _shown(place: _Place) -> str:
    """As `traceback` does, which has read the files a moment ago and takes ten times as long to look again."""
    code = place.frame.f_code
    source = linecache.getline(place.file, place.line, place.frame.f_globals).strip()
    return f'  File "{place.file}", line {place.line}, in {code.co_name}\n' + (
        f"    {source}\n" if source else ""
    )


def _own_places(error: BaseException, *, installed: bool) -> list[_Place]:
    theirs = [place for place in _places(error) if not place.file.startswith(_OURS)]
    own = [place for place in theirs if is_own(place.file)]
    real = [place for place in own if not place.file.startswith("<")]
    if own or not installed:
        return real or own  # `<string>` is what a class decorator has made, unless there is nothing else.
    called = next((place for place in theirs if not _is_standard(place.file)), None)
    return theirs[-1:] if called is None else [place for place in theirs if place.package == called.package]


def _places(error: BaseException) -> list[_Place]:
    found = []
    trace = _traceback_slot.__get__(error)
    while trace is not None:
        found.append(_Place(trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return found


def is_own(file: str) -> bool:
    """Whether a file is neither the interpreter's nor installed."""
    return not (_is_standard(file) or file.endswith(_COMPILED) or any(part in file for part in _INSTALLED))


def _is_standard(file: str) -> bool:
    if file.startswith("<frozen "):
        return True
    return file.startswith(_STANDARD) and not any(part in file for part in _INSTALLED)
