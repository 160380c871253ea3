"""One run without ceremony, for scripts and notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.errors import AssetNotFound
from flowstone.runtime.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.assets.asset import Asset
    from flowstone.assets.config import Config
    from flowstone.assets.pipeline import Pipeline
    from flowstone.runtime.client.result import RunResult

__all__ = ["materialize"]


async def materialize(
    asset: Asset[..., Any] | str | list[Any] | tuple[Any, ...],
    *,
    pipeline: Pipeline | None = None,
    partition: Any = None,
    max_parallel: int | None = None,
    timeout: float | None = None,
    config: Mapping[str, Any] | Config | None = None,
    **options: Any,
) -> RunResult:
    """Compute an asset, or several, and everything upstream in a runtime of its own, in memory.

    Args:
        asset: The decorated function; or a name, a selection of several or a list, with `pipeline`.
        pipeline: Where to look upstream assets up. Default: the pipeline that defines the asset.
        partition: Which partition of the asset.
        max_parallel: Steps at a time. Default: `max_concurrency`.
        timeout: Seconds until the run is cancelled. Default: none.
        config: Fields of the asset's config, or a `Config`; by asset as soon as a key names one.
        options: Anything `Runtime` takes, such as `resources` or `io`.

    Returns:
        The result of the run; its `value()` answers after the runtime has gone.

    Raises:
        AssetNotFound: A name without a pipeline, or an asset that no pipeline defines.
        ConfigError: The config does not fit, or a required field is missing.
        PartitionError: The partition is missing or foreign.
        RunFailed: The step failed, or one that it needs; `.result` has everything.
        RunCancelled: The run was cancelled.
        TimeoutError: `timeout` is over; the run is cancelled.
    """
    owner = pipeline if pipeline is not None else getattr(asset, "pipeline", None)
    if owner is None:
        raise AssetNotFound(f"{asset!r:.200}: pass the decorated function, or a name and pipeline=.")
    async with Runtime(owner, store="memory://", **options) as runtime:
        return await runtime.materialize_all(
            asset, partition=partition, max_parallel=max_parallel, timeout=timeout, config=config
        )
