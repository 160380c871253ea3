"""`bytes` as they are."""

from __future__ import annotations

from typing import ClassVar

__all__ = ["BytesCodec"]


class BytesCodec:
    """Takes `bytes` (not `bytearray`, which would come back as another type)."""

    name: ClassVar[str] = "bytes"
    suffix: ClassVar[str] = "bin"

    def can_encode(self, value: object) -> bool:
        return type(value) is bytes

    def encode(self, value: object) -> bytes:
        assert isinstance(value, bytes)
        return value

    def decode(self, data: bytes) -> object:
        return data
