"""What every part of a client has: the connection, and handles of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.runtime.client.handle import Run

if TYPE_CHECKING:
    from flowstone.client.runs import RemoteRuns
    from flowstone.client.transport import Transport

__all__ = ["Connected"]


class Connected:
    """A part of `Client`."""

    _transport: Transport
    _runs: RemoteRuns

    def _handle(self, run_id: str, *, submitted: bool = False) -> Run:
        return Run(run_id, self._runs, submitted=submitted)
