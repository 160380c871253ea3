"""Why a step of a run is computed or reused: a word for programs, and a sentence for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from flowstone.runs.records import StepKey

__all__ = ["ALL", "MISSING", "Reason", "ReasonKind"]

ReasonKind: TypeAlias = Literal["missing", "failed", "code", "config", "upstream", "forced", "fresh"]


@frozen
class Reason:
    """Why a step is computed; or, if it is `fresh`, reused.

    Attributes:
        kind: It is `missing`, or has none since it `failed`; its `code`, its `config` or something `upstream` has
            changed; or all is computed again (`forced`).
        because: The same as a phrase that names the cause.
        upstream: The step upstream that is the cause, or None.
    """

    kind: ReasonKind
    because: str
    upstream: StepKey | None = None


MISSING: Final = Reason("missing", "it has no current value")
ALL: Final = Reason("forced", "everything is computed, whatever exists")
