"""Keys of dynamic partition sets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from flowstone.wire.model import ByModel, Model
from flowstone.wire.values import Key

__all__ = ["ChangedKeysModel", "KeyModel", "KeysModel"]


class KeyModel(Model):
    """A key of a dynamic partition set."""

    partition: str
    """As people write it."""
    partition_key: str
    """As machines write it."""


class KeysModel(ByModel):
    """Keys to add or remove."""

    keys: Annotated[list[Key], Field(max_length=100_000, examples=[["eu", "us"]])]
    """Each as people write it, or as machines do."""


class ChangedKeysModel(Model):
    """What became of them."""

    changed: int
    """How many were new, or were there."""
