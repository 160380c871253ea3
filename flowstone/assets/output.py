"""What an asset returns when it has something to say about its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Generic, TypeVar

from flowstone.assets.arguments import is_name
from flowstone.frozen import frozen

__all__ = ["Output"]

T = TypeVar("T")


@frozen
class Output(Generic[T]):
    """A value with facts about it; downstream assets receive only the value.

    Args:
        value: The asset's value; None is a value.
        metadata: JSON-like facts to record with the materialization; default none. They are merged over
            `context.metadata`.
        data_version: A version that changes exactly when the value does, such as an etag or a digest;
            default: the digest of the stored value, where the IO manager knows it.

    Raises:
        TypeError: `metadata` is no mapping with text keys, or `data_version` is no text.
    """

    value: T
    metadata: Mapping[str, Any] | None = field(default=None, kw_only=True)
    data_version: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.metadata is not None and not _has_text_keys(self.metadata):
            raise TypeError(f"Output(metadata=…) takes a dict with str keys, not {self.metadata!r:.200}.")
        if self.data_version is not None and not is_name(self.data_version):
            raise TypeError(f"Output(data_version=…) takes a non-empty str, not {self.data_version!r:.200}.")


def _has_text_keys(metadata: object) -> bool:
    return isinstance(metadata, Mapping) and all(isinstance(key, str) for key in metadata)
