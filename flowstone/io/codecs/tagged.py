"""The three codecs that write tagged JSON: trees of built-in types, pydantic models, dataclasses.

They differ only in what they take at the top; any of them reads what any other wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.io.codecs.encoding import CONTAINERS, PLAIN, decode_tree, encode_tree
from flowstone.io.codecs.instances import is_dataclass_instance, is_instance_of_user_class
from flowstone.io.codecs.models import is_model
from flowstone.io.codecs.scalars import scalar_of
from flowstone.io.codecs.stdlib_containers import STDLIB_CONTAINERS

if TYPE_CHECKING:
    from flowstone.io.codecs.classes import Classes

__all__ = ["DataclassCodec", "JsonCodec", "PydanticCodec"]


class JsonCodec:
    """Takes built-in types, and instances of the user's classes, in any nesting.

    Args:
        classes: Where the classes of instances are found again.
    """

    suffix = "json"

    def __init__(self, classes: Classes) -> None:
        self._classes = classes

    @property
    def name(self) -> str:
        return "json"

    def can_encode(self, value: object) -> bool:
        kind = type(value)
        return (
            kind in PLAIN
            or kind in CONTAINERS
            or scalar_of(kind) is not None
            or kind in STDLIB_CONTAINERS
            or is_instance_of_user_class(value)
        )

    def encode(self, value: object) -> bytes:
        return encode_tree(value, self._classes)

    def decode(self, data: bytes) -> object:
        return decode_tree(data, self._classes)


class PydanticCodec(JsonCodec):
    """Takes one pydantic model."""

    @property
    def name(self) -> str:
        return "pydantic"

    def can_encode(self, value: object) -> bool:
        return is_model(value)


class DataclassCodec(JsonCodec):
    """Takes one dataclass instance."""

    @property
    def name(self) -> str:
        return "dataclass"

    def can_encode(self, value: object) -> bool:
        return is_dataclass_instance(value)
