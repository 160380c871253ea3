"""A journal is read: every line is checked, and what is wrong is said with the line's number and a remedy.

A write that was acknowledged ended with its newline on the disk. So a last line without one, as far as it goes,
was being written when the process died: nobody was told that it was recorded, and it is left out. There are two
exceptions. A last line that lacks its newline and nothing else is taken, because what it says is known whole; and
one that is whole and ends in something else than a newline was altered, which is reported like all damage.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from flowstone.errors import StoreUnavailable
from flowstone.store.journal_lines import VERSION, Chain, Damaged, Unnumbered, decode_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from flowstone.store.journal_lines import Lines
    from flowstone.store.replay import Replay

__all__ = ["JournalEnd", "JournalReader", "damage", "read_journal"]

_log = logging.getLogger(__name__)

_HEADER_OF_1: Final = b'{"flowstone": "journal", "version": 1}\n'


@dataclass(slots=True)
class JournalEnd:
    """Where the whole lines of a journal end.

    Attributes:
        length: The bytes up to there; 0 if there is not even a header.
        chain: The place of the last line, or None in a journal of version 1.
        unended: Whether the last line still needs its newline.
    """

    length: int = 0
    chain: Chain | None = field(default_factory=Chain.new)
    unended: bool = False


def read_journal(path: Path, replay: Replay) -> JournalEnd:
    """Replay a journal; a missing file is an empty one.

    Raises:
        StoreUnavailable: It is damaged, in a format that this release does not know, or no journal.
        OSError: The disk does not answer.
    """
    if not path.exists():
        return JournalEnd()
    with JournalReader(path) as reader:
        try:
            for body in reader.bodies():
                replay.apply(decode_body(body))
            if replay.restoring and isinstance(reader.lines, Chain):
                reader.mark_end()
                raise Damaged("the file ends within a summary of older lines")
        except ValueError as error:
            raise StoreUnavailable(damage(reader, error, replay)) from error
    return reader.end


class JournalReader:
    """A journal that is open for reading.

    Args:
        path: The file.
        start: Where to begin, instead of at the header.

    Attributes:
        path: The file.
        lines: The place of the last line read.
        length: Where that line ends, in bytes.
    """

    def __init__(self, path: Path, start: JournalEnd | None = None) -> None:
        self.path = path
        self.length = 0 if start is None else start.length
        self.lines: Lines = Chain.new() if start is None or start.chain is None else start.chain
        self._unended = False
        self._begun = False
        self._file = path.open("rb")
        try:
            if start is None:
                self._read_header(self._file.readline())
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; `resume` opens it again."""
        self._file.close()

    def resume(self) -> None:
        """Read on behind the last line, nothing of which was read ahead: it may have changed since."""
        self._file.close()
        self._file = self.path.open("rb")
        self._file.seek(self.length)

    @property
    def end(self) -> JournalEnd:
        """What has been read so far, as an end."""
        return JournalEnd(
            self.length, self.lines if isinstance(self.lines, Chain) else None, unended=self._unended
        )

    def bodies(self, until: int | None = None) -> Iterator[bytes]:
        """The operations that follow, up to the whole line that ends at `until`, or to the end of the file.

        Raises:
            Damaged: The line after `lines` is not as it was written.
        """
        while until is None or self.length < until:
            line = self._file.readline()
            if not line.endswith(b"\n"):
                yield from self._last(line)
                return
            self._begun = True
            body = self.lines.open(line)
            self.length += len(line)
            self._begun = False
            yield body

    @property
    def number(self) -> int:
        """The number of the line that is being looked at."""
        return self.lines.number + self._begun

    def mark_end(self) -> None:
        """Look at what is behind the last line."""
        self._begun = True

    def _last(self, rest: bytes) -> Iterator[bytes]:
        """What a line without its newline still says."""
        if not rest:
            return
        self._begun = True
        with suppress(Damaged):
            body = self.lines.open(rest + b"\n")
            self.length += len(rest)
            self._unended = True
            self._begun = False
            yield body
            return
        if _is_whole(rest) or _is_whole(rest[:-1]):
            raise Damaged("its end is not as it was written")
        _log.info("%s: line %d was never finished, and is left out", self.path, self.number)

    def _read_header(self, line: bytes) -> None:
        chain = Chain.of(line)
        if chain is not None:
            self.length = len(line)
            self.lines = chain
        elif line == _HEADER_OF_1:
            self.length = len(line)
            self.lines = Unnumbered()
        elif not (Chain.torn(line) or _HEADER_OF_1.startswith(line)):
            raise StoreUnavailable(_foreign(self.path, line))
        # Else it is empty, or the process died while it made the file.


def _is_whole(line: bytes) -> bool:
    """Whether it is a complete value, which the beginning of a line never is."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _foreign(path: Path, line: bytes) -> str:
    with suppress(ValueError, AttributeError, RecursionError):
        found: Any = json.loads(line).get("version", 0)
        if int(found) > VERSION:
            return (
                f"a newer FlowStone wrote {path} (format {found}, this release reads {VERSION}); upgrade "
                "FlowStone, or use another directory"
            )
    return f"{path} is not a journal of FlowStone; move it away, or use another directory"


def damage(reader: JournalReader, error: ValueError, replay: Replay) -> str:
    """What is wrong with the line that a reader looks at, and what to do about it."""
    number = reader.number
    remedy = (
        "restore the file from a copy; it has no other remedy, because this line is part of a summary of "
        "older lines, which says nothing true without it"
        if replay.restoring
        else f"restore the file from a copy, or keep a copy and delete line {number} and every line after it: "
        "that forgets what they recorded, and changes nothing else"
    )
    return f"cannot read {reader.path}, line {number}: {error}; {remedy}"
