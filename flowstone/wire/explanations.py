"""Why an asset is as it is, down to the root."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from flowstone.masking import masked
from flowstone.runs.explanation import Explanation
from flowstone.runs.records import Status
from flowstone.wire.model import Given, Instant, Model, Text
from flowstone.wire.values import Partition, label, partition_of

__all__ = ["ExplanationModel", "WhyQuery"]


class ExplanationModel(Model):
    """How an asset stands at a partition, and why."""

    sentence: str
    """How it stands, without its name."""
    asset: str
    """The asset."""
    partition: str | None
    """Its partition."""
    partition_key: str | None = None
    """The same as machines write it."""
    status: Status
    """Its status; `succeeded` also of a value that is stale."""
    stale: bool
    """Whether it has a value that `refresh=stale` would compute again."""
    run_id: str | None
    """The run that this is about."""
    since: Instant | None
    """Since when it is so."""
    remedy: str | None
    """What mends it."""
    redo: Literal["alone", "upstream"] | None
    """Whether to compute it again is what mends it: `alone`, or with what is `upstream` of it."""
    causes: list[ExplanationModel]
    """What it comes from, each explained in the same way."""

    @classmethod
    def of(cls, explanation: Explanation) -> ExplanationModel:
        """As the API shows it, without passwords."""
        return cls(
            sentence=masked(explanation.sentence),
            asset=explanation.asset,
            partition=label(explanation.partition_key),
            partition_key=explanation.partition_key,
            status=explanation.status,
            stale=explanation.stale,
            run_id=explanation.run_id,
            since=explanation.since,
            remedy=None if explanation.remedy is None else masked(explanation.remedy),
            redo=explanation.redo,
            causes=[cls.of(cause) for cause in explanation.causes],
        )

    def as_record(self) -> Explanation:
        """What it shows."""
        return Explanation(
            self.sentence,
            self.asset,
            partition_of(self.partition_key),
            self.partition_key,
            self.status,
            self.stale,
            self.run_id,
            self.since,
            self.remedy,
            self.redo,
            tuple(cause.as_record() for cause in self.causes),
        )


class WhyQuery(Given):
    """What is to be explained."""

    asset: Annotated[Text, Field(examples=["report"])]
    """The asset."""
    partition: Partition | None = None
    """Its partition; required if it has a partition set."""
