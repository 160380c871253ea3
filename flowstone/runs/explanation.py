"""Why an asset is as it is: a sentence, and what that comes from, down to the root."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone.assets.partition_labels import step_label
from flowstone.frozen import frozen
from flowstone.printable import indented

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from flowstone.runs.records import Status

__all__ = ["Explanation", "Redo", "when"]

Redo: TypeAlias = Literal["alone", "upstream"]
"""What is computed again: an asset-partition, or that with all upstream that is missing, failed or stale."""


@frozen
class Explanation:
    """How an asset stands at a partition, and why; `print` shows it as a tree with its causes.

    Attributes:
        sentence: How it stands, without its name: `skipped because raw failed: OSError: disk full`.
        asset: The asset's name.
        partition: The partition as a Python value, or None.
        partition_key: The same as text, or None.
        status: Its `Status`; `succeeded` also of a value that is `stale`.
        stale: Whether it has a value that `refresh="stale"` would compute again.
        run_id: The run that this is about, or None.
        since: Since when it is so (aware, UTC), or None.
        remedy: What mends it, as a sentence, or None: `Materialize report[2025-01-15] with what it needs.`
        redo: Whether to compute it again is what mends it: `alone`, or with what is `upstream` of it; or None.
        causes: What it comes from, each explained in the same way.
    """

    sentence: str
    asset: str
    partition: Any
    partition_key: str | None
    status: Status
    stale: bool = False
    run_id: str | None = None
    since: datetime | None = None
    remedy: str | None = None
    redo: Redo | None = None
    causes: tuple[Explanation, ...] = ()

    @property
    def name(self) -> str:
        """`asset`, or `asset[2025-01-15]` where there is a partition: as people write it."""
        return step_label(self.asset, self.partition_key)

    @property
    def root(self) -> Explanation:
        """Where it begins: the first cause of the first cause, and so on."""
        found = self
        while found.causes:
            found = found.causes[0]
        return found

    def __str__(self) -> str:
        return "\n".join(_lines(self, "", ""))


def when(moment: datetime) -> str:
    """`2025-01-15 06:00:00 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _lines(explained: Explanation, first: str, others: str) -> Iterator[str]:
    """The lines of a tree.

    Args:
        explained: Its root.
        first: What its first line begins with.
        others: What all others begin with.
    """
    yield f"{first}{explained.name}: {indented(explained.sentence)}"
    since = "" if explained.since is None else when(explained.since)
    facts = [
        *([f"since {since}"] if since and since not in explained.sentence else []),
        *([] if explained.run_id is None else [f"run {explained.run_id}"]),
    ]
    bar = "│ " if explained.causes else "  "
    if facts:
        yield f"{others}{bar}{', '.join(facts)}"
    if explained.remedy is not None:
        yield f"{others}{bar}→ {explained.remedy}"
    for place, cause in enumerate(explained.causes, 1):
        last = place == len(explained.causes)
        yield from _lines(cause, others + ("└─ " if last else "├─ "), others + ("   " if last else "│  "))
