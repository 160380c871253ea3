"""The port to what is kept of the logs of attempts.

Lines come in chunks, each of one attempt, in the order in which they were said. The store numbers the lines of a
run in the order in which it keeps them, so that whoever has read up to a number misses nothing by asking for what
comes after it. Lines are for people: they have no part in what a run decides, so no write of anything else waits
for them, and what cannot be kept is left out and counted.

They are not fenced: a line says which attempt it is of, and what a node says of an attempt that it has lost is
what that attempt did. They go with their run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.log_line import LogLine

__all__ = ["KeptLine", "LogChunk", "LogPage", "Logs", "newest_of"]

KeptLine: TypeAlias = "tuple[float, int, str, dict[str, Any] | None]"
"""When, as seconds since 1970; the level's number; the message, and the fields; storable."""


class LogChunk(NamedTuple):
    """Lines of one attempt.

    Attributes:
        run_id: The run.
        asset: The asset of the step.
        partition_key: The partition of the step.
        attempt: The attempt's number.
        part: Its number among the chunks of who writes: one that comes again is the same.
        lines: At least one.
    """

    run_id: str
    asset: str
    partition_key: str | None
    attempt: int
    part: int
    lines: Sequence[KeptLine]


class LogPage(NamedTuple):
    """A part of the log of a run.

    Attributes:
        lines: In the order in which they are kept.
        end: Up to which number the log was looked through: what comes next comes after it.
    """

    lines: Sequence[LogLine]
    end: int


def newest_of(lines: Sequence[LogLine], limit: int) -> LogPage:
    """The last lines of some that are in order."""
    shown = lines[max(0, len(lines) - limit) :]
    return LogPage(shown, shown[-1].number if shown else 0)


class Logs(Protocol):
    """The logs of runs. Every call may raise `StoreUnavailable`; each is safe to repeat."""

    async def append(self, writer: int, chunks: Sequence[LogChunk]) -> None:
        """Keep lines. Those of a run that the store does not know are left out.

        Args:
            writer: Who writes: with the `part` of a chunk it says which one it is.
            chunks: In the order in which their lines are to stand.
        """

    async def page(
        self,
        run_id: str,
        *,
        asset: str | None = None,
        partition_key: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> LogPage:
        """Lines of a run, in the order in which they are kept.

        Args:
            run_id: The run.
            asset: Only those of this asset; None: of all.
            partition_key: Only those of this partition of the asset; None: of all.
            after: Only those with higher numbers.
            limit: How many at most.
        """

    async def tail(
        self, run_id: str, *, asset: str | None = None, partition_key: str | None = None, limit: int
    ) -> LogPage:
        """The newest lines of a run, in the order in which they are kept; what comes next comes after them.

        Args:
            run_id: The run.
            asset: Only those of this asset; None: of all.
            partition_key: Only those of this partition of the asset; None: of all.
            limit: How many at most.
        """

    async def prune(self) -> None:
        """Forget the lines of runs that are forgotten."""
