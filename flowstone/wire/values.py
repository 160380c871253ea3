"""What several kinds of things have in common: partitions as people write them, and failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field

from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_labels import key_label
from flowstone.masking import masked
from flowstone.runs.records import Failure
from flowstone.wire.model import Model, Text

if TYPE_CHECKING:
    from flowstone.runs.records import FailureKind

__all__ = ["FailureModel", "Key", "Partition", "label", "partition_of"]

Partition = Annotated[Text, Field(max_length=4_000, examples=["2025-01-15"])]
"""A partition as one writes it: `2025-01-15`, `eu|2025-01`."""


Key = Annotated[Text, Field(max_length=8_000, examples=["d:2025-01-15"])]
"""A partition as machines write it, exact and like no other: `d:2025-01-15`."""


def label(key: str | None) -> str | None:
    """An encoded partition key as one writes it; None for none."""
    return None if key is None else key_label(key)


def partition_of(key: str | None) -> Any:
    """The partition that an encoded key stands for; None for none."""
    return None if key is None else decode_partition(key)


class FailureModel(Model):
    """Why a step or an automation failed, or a step was skipped."""

    kind: str
    """`error`, `timeout`, `dependency`, `io`, `lost`, `rejected`, `expired`, `skip`, …"""
    message: str
    """The exception and what it said."""
    retryable: bool
    """Whether another attempt is allowed, as far as this failure is concerned."""
    cause: str | None
    """Of a skipped step: the step because of which."""
    where: str | None
    """`file:line` of the last frame of the pipeline's own code."""
    traceback: str | None
    """The traceback, where it was asked for."""
    frames: str | None = None
    """Of the traceback the frames of the pipeline's own code, likewise."""
    after: float | None = None
    """Seconds that the asset asked to wait before the next attempt, if it did."""

    @classmethod
    def of(cls, failure: Failure | None, *, traceback: bool = False) -> FailureModel | None:
        """As the API shows it, without passwords."""
        if failure is None:
            return None
        return cls(
            kind=failure.kind,
            message=masked(failure.message),
            retryable=failure.retryable,
            cause=failure.cause,
            where=failure.where or None,
            traceback=masked(failure.traceback) if traceback else None,
            frames=masked(failure.frames) if traceback and failure.frames else None,
            after=failure.after,
        )

    def as_record(self) -> Failure:
        """What it shows."""
        return Failure(
            cast("FailureKind", self.kind),
            self.message,
            self.traceback or "",
            self.retryable,
            self.after,
            self.cause,
            self.where or "",
            self.frames or "",
        )
