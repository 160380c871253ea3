"""How much of a request is read: not more than is allowed, whether it says its length or comes in chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import HTTPException

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.types import Message, Receive

__all__ = ["bounded", "too_large"]

_DIGITS: Final = 15


def too_large(headers: Headers, most: int) -> bool:
    """Whether it says that it is larger than `most` bytes, or says what is no length."""
    length = headers.get("content-length")
    if length is None:
        return False
    return not (length.isascii() and length.isdigit()) or len(length) > _DIGITS or int(length) > most


def bounded(receive: Receive, most: int) -> Receive:
    """As `receive`, which may be asked for at most so many bytes.

    Raises:
        HTTPException: More came (413), to whoever reads it.
    """
    read = 0

    async def received() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            raise HTTPException(413, f"This is larger than {most:,} bytes, which is as much as is read.")
        return message

    return received
