"""Server-sent events: from lines to messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.errors import ServerUnavailable
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Message", "messages"]

_LARGEST: Final = 64_000_000


@frozen
class Message:
    """A message of a stream.

    Attributes:
        id: The number that it has, or None.
        event: What it is about; empty where nothing is said.
        data: What it says.
    """

    id: int | None
    event: str
    data: str


async def messages(lines: AsyncIterator[str]) -> AsyncIterator[Message]:
    """The messages of a stream. One that was cut short is none.

    Raises:
        ServerUnavailable: One is larger than anything that a server says.
    """
    number: int | None = None
    event, size = "", 0
    data: list[str] = []
    async for line in lines:
        if not line:
            if number is not None or event or data:
                yield Message(number, event, "\n".join(data))
            number, event, data, size = None, "", [], 0
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        size += len(line)
        if size > _LARGEST:
            raise ServerUnavailable("A message of the stream is larger than any that a server sends.")
        if name == "id" and value.isascii() and value.isdigit():
            number = int(value)
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)
