r"""Somebody's text on its way to a terminal, a log or a message: what would act, hide or mislead is written out.

Escape sequences move the cursor, set the window's title or answer for the user; bidirectional overrides show the
characters of a line in another order than they have; invisible characters make two keys look alike. All of them
may be in a partition key, a description, an error of a remote service. They are shown as Python would write them
(`\x1b`, `\u202e`), so that nothing is lost. Every exit to a terminal passes through here.

Joiners that Persian, Indic scripts and emoji need stay where they follow such a character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from re import Match

__all__ = ["indented", "is_blank", "one_line", "printable", "printable_json"]

_ACTING: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, delete, C1
    "\xad\u034f\u180e\u200b\u2060-\u2064\ufeff"  # of no width
    "\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # letters that are blank
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # bidirectional marks, embeddings, overrides, isolates
    "\u2028\u2029\ufff9-\ufffb"  # line separators and annotations
    "\ud800-\udfff"  # halves of characters
    "\U000e0000-\U000e0fff"  # tags
    "]|(?<![^\x00-\x7f])[\u200c\u200d]"
)
_ANY_BREAK: Final = re.compile(f"{_ACTING.pattern}|[\t\n]")


def printable(text: str) -> str:
    """The text with acting, hiding and misleading characters written out; lines and tabs stay."""
    return _ACTING.sub(_escaped, text)


def one_line(text: str) -> str:
    """The same with line feeds and tabs written out as well: for names, which are no place for a second line."""
    if text.isascii() and text.isprintable():  # Nearly all names, and each step is named.
        return text
    return _ANY_BREAK.sub(_escaped, text)


def is_blank(text: str) -> bool:
    """Whether nobody would see anything of it: it is empty, or of blanks and invisible characters alone."""
    return not _ACTING.sub("", text).strip()


def indented(text: str) -> str:
    """The text with every line but the first indented, so that none passes for a line of its own."""
    return text.replace("\n", "\n    ")


def printable_json(text: str) -> str:
    """A JSON document that says the same, with those characters as JSON's own escapes."""
    return _ACTING.sub(_json_escaped, text)


def _escaped(found: Match[str]) -> str:
    code = ord(found[0])
    if code in {0x09, 0x0A, 0x0D}:
        return {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}[code]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _json_escaped(found: Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
