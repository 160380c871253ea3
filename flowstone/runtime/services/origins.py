"""Values that another pipeline has computed: it is said once of each asset that has one.

A value belongs to the name of its asset, whichever pipeline defines it. That is meant where pipelines work
together, and a surprise where two of them happen to have an asset of the same name. A record does not say whose it
is, so its run is looked up: once for each asset in the life of a runtime.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from flowstone.assets.partition_labels import step_label
from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.assets.snapshot import Snapshot
    from flowstone.runs.records import Materialization
    from flowstone.store.protocol import Store

__all__ = ["Origins"]

_log = logging.getLogger("flowstone.values")


class Origins:
    """Warns of current values that none of a runtime's pipelines has computed."""

    def __init__(self) -> None:
        self._known: set[str] = set()  # Assets of which one was looked up.

    def knows(self, asset: str) -> bool:
        """Whether a value of this asset was looked up."""
        return asset in self._known

    async def look(
        self, store: Store, snapshot: Snapshot, records: Iterable[Materialization], run_id: str | None = None
    ) -> None:
        """Look up who has computed these values, as far as that is not known of their assets.

        Args:
            store: Where their runs are remembered.
            snapshot: The runtime's pipelines.
            records: Current values that are about to be used.
            run_id: The run that uses them: what it has computed itself is passed over.
        """
        for record in records:
            if record.run_id == run_id or record.asset in self._known:
                continue
            self._known.add(record.asset)
            with suppress(StoreUnavailable):
                run = await store.run(record.run_id)
                if run is not None and run.pipeline not in _own(snapshot, record.asset):
                    _warn(snapshot, record, run.pipeline)


def _own(snapshot: Snapshot, asset: str) -> set[str]:
    """The pipelines of the runtime, and the one that the asset was defined in, if that is included in another."""
    defined_in = getattr(snapshot.graph.assets.get(asset), "pipeline", None)
    return {*snapshot.names, *(() if defined_in is None else (defined_in.name,))}


def _warn(snapshot: Snapshot, record: Materialization, other: str) -> None:
    with suppress(BaseException):  # The handlers of a log are the application's.
        _log.warning(
            "The current value of %s was computed by the pipeline %r in run %s, and is used by %r: a value belongs "
            "to the name of its asset. If these are two assets, give one of them another name, or each pipeline a "
            "store of its own.",
            step_label(record.asset, record.partition_key),
            other,
            record.run_id,
            snapshot.pipelines.get(record.asset, ""),
        )
