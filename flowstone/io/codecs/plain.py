"""`bytes` as they are."""

from __future__ import annotations

import pickle  # Loading runs code: only an IO manager built with codec="pickle" gets here.
from typing import ClassVar

__all__ = ["BytesCodec", "PickleCodec", "TextCodec"]


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


class PickleCodec:
    """Takes whatever `pickle` takes. Who can write to the root or the run store can run code in a reader."""

    name: ClassVar[str] = "pickle"
    suffix: ClassVar[str] = "pickle"

    def can_encode(self, value: object) -> bool:
        del value
        return True

    def encode(self, value: object) -> bytes:
        return pickle.dumps(value, protocol=5)

    def decode(self, data: bytes) -> object:
        return pickle.loads(data)  # noqa: S301 - as said at the import
