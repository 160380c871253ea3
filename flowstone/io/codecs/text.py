"""`str` as UTF-8."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["TextCodec"]


class TextCodec:
    """Takes `str`: line ends, byte order marks and lone surrogates come back as they went."""

    name: ClassVar[str] = "text"
    suffix: ClassVar[str] = "txt"

    def can_encode(self, value: object) -> bool:
        return type(value) is str

    def encode(self, value: object) -> bytes:
        assert isinstance(value, str)
        return value.encode("utf-8", "surrogatepass")

    def decode(self, data: bytes) -> object:
        return data.decode("utf-8", "surrogatepass")
