"""Whether a current value is still what its asset would compute, and the reason if it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.assets.partition_labels import step_label
from flowstone.runs.explanation import when
from flowstone.runs.reasons import Reason
from flowstone.runs.run_config import changed_config

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.runs.records import Input, Materialization

__all__ = ["stale_reason"]


def stale_reason(
    current: Materialization,
    code_version: str | None,
    upstream: Mapping[tuple[str, str | None], Materialization | None],
    config: Mapping[str, Any] | None = None,
) -> Reason | None:
    """Why `current` is stale, or None if it is fresh.

    Args:
        current: The current materialization.
        code_version: The version the asset declares now.
        upstream: The current materialization of each upstream step, None where there is none.
        config: The config it would be computed with, as JSON.

    A value is fresh if the asset's declared version and its config are those it was computed with, and each
    upstream value is the one it was computed from: the same data version where both have one, else the very same
    materialization. That the upstream is fresh itself is the caller's affair: it looks upstream first.
    """
    if current.code_version != code_version:
        return Reason(
            "code",
            f"the code version of {current.asset} changed from {current.code_version} to {code_version}",
        )
    if (changed := changed_config(current.config, config)) is not None:
        return Reason("config", changed)
    used = {(entry.asset, entry.partition_key): entry for entry in current.inputs}
    for key, now in upstream.items():
        name = step_label(*key)
        before = used.get(key)
        if now is None:
            if before is not None:
                return Reason("upstream", f"{name} has no current value any more", key)
        elif before is None:
            return Reason("upstream", f"{name} is new upstream", key)
        elif not _same(before, now):
            instant = "" if now.finished_at is None else f" at {when(now.finished_at)}"
            return Reason("upstream", f"{name} changed{instant}", key)
    return None


def _same(before: Input, now: Materialization) -> bool:
    if before.data_version is not None and now.data_version is not None:
        return before.data_version == now.data_version
    return before.run_id == now.run_id and before.attempt == now.attempt
