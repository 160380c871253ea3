"""Worker processes for assets with `run_in="process"`: code that holds the GIL, leaks, or may crash.

Cancelling such a step kills its process: the one place where code that never yields can be stopped. The asset
travels as a reference and is imported there, so it must be defined at the top level of an importable module.
"""

from __future__ import annotations

import os
import pickle  # Only to name its errors; anyio's worker protocol pickles between our own processes.
from typing import TYPE_CHECKING, Any

from flowstone.assets.context import Context
from flowstone.runs.records import Failure
from flowstone.runtime.guard import call, describe

if TYPE_CHECKING:
    from anyio import CapacityLimiter

    from flowstone.assets.asset import Asset
    from flowstone.runtime.guard import Outcome

__all__ = ["Processes"]


class Processes:
    """At most one worker process per processor, started when they are needed and kept for the next call."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or os.cpu_count() or 1
        self._limiter: CapacityLimiter | None = None

    async def call(self, asset: Asset[..., Any], arguments: dict[str, Any]) -> Outcome:
        """Call the asset's function in a worker process. The context's metadata comes back with the outcome."""
        import anyio  # noqa: PLC0415 - few pipelines need processes
        from anyio import to_process  # noqa: PLC0415 - as above

        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._limit)
        context = arguments.get(asset.context_parameter or "")
        sent = {name: _portable(value) for name, value in arguments.items()}
        try:
            outcome, metadata = await to_process.run_sync(
                _work, asset, sent, cancellable=True, limiter=self._limiter
            )
        except anyio.BrokenWorkerProcess:
            message = f"The worker process of {asset.name} died: it was killed, ran out of memory or exited."
            return False, Failure("error", message, retryable=True)
        except (pickle.PicklingError, AttributeError, TypeError, ImportError) as error:
            return False, _unportable(asset, error)
        if isinstance(context, Context):
            context.metadata.update(metadata)
        return outcome


def _work(asset: Asset[..., Any], arguments: dict[str, Any]) -> tuple[Outcome, dict[str, Any]]:
    """In the worker process: the same guard, and what the function noted in its context."""
    outcome = call(asset.function, arguments, asset.retry)
    context = arguments.get(asset.context_parameter or "")
    return outcome, context.metadata if isinstance(context, Context) else {}


def _portable(value: Any) -> Any:
    """A context without its way back into this process: progress is not reported from there."""
    if isinstance(value, Context):
        return Context(value.asset, value.partition, value.partition_key, value.run_id, value.attempt)
    return value


def _unportable(asset: Asset[..., Any], error: Exception) -> Failure:
    failure = describe(error, None)
    message = (
        f"Asset {asset.name!r} or its arguments cannot be sent to a process ({failure.message}): define it at "
        f"the top level of an importable module, and pass only values that pickle; or use run_in='thread'."
    )
    return Failure("error", message, failure.traceback)
