"""What a codec is: one way to turn values into bytes and back, exactly."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

__all__ = ["Codec", "CodecError", "type_name"]

_MAX_PATH: Final = 120


@runtime_checkable
class Codec(Protocol):
    """One way to write values as files.

    The one rule: what `decode` returns equals what `encode` was given and has its type, in another process
    and after an upgrade, or `encode` raises. A value that silently comes back as another one is the worst bug
    a pipeline can have. Methods are called on worker threads, several at a time.

    Attributes:
        name: What `codec=...` and the record's metadata call it.
        suffix: Ends the file's name, without the leading dot: lower-case letters, digits, dots and dashes.
            Loading picks the codec by it, so no two codecs share one.
    """

    @property
    def name(self) -> str:
        """What `codec=...` and the record's metadata call it."""

    @property
    def suffix(self) -> str:
        """The end of the file's name, without the leading dot."""

    def can_encode(self, value: object) -> bool:
        """Whether values of this type are this codec's business; cheap, a look at the type."""

    def encode(self, value: object) -> bytes:
        """The value as bytes. Raises `CodecError` for a value that would not come back the same."""

    def decode(self, data: bytes) -> object:
        """The value. Raises `CodecError` where this process cannot rebuild it."""


class CodecError(Exception):
    """A codec cannot take a value, or not give it back: the middle of a sentence, and a remedy.

    Args:
        reason: Follows "Cannot store asset 'x': " or "Cannot load 'x': ".
        remedy: What the user can do, as a clause.
        path: Where in the value, as `[3]['rates']`.
    """

    def __init__(self, reason: str, remedy: str, path: str = "") -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy
        self.path = path

    def __str__(self) -> str:
        place = f", at value{self.path}" if self.path else ""
        return f"{self.reason}{place}; {self.remedy}."

    def inside(self, step: str) -> CodecError:
        """The same error, seen from one container further out."""
        path = step + self.path
        self.path = path if len(path) <= _MAX_PATH else f"{path[: _MAX_PATH - 1]}…"
        return self


def type_name(value: object) -> str:
    """The type of `value` as a user writes it: `numpy.ndarray`, but `list`."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
