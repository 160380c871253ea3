"""Anything that pickles, for those who ask for it by name."""

from __future__ import annotations

import pickle  # Loading runs code: only an IO manager built with codec="pickle" gets here.
from typing import ClassVar

__all__ = ["PickleCodec"]


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
