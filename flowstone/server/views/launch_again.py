"""What a run was asked for, as the Launch page shows it: the same once more, with what somebody changes first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from flowstone.assets.partition_labels import key_label
from flowstone.masking import without_secrets
from flowstone.runs.records import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.runs.records import RunRecord

__all__ = ["again_path"]

_MOST_PARTITIONS: Final = 400  # In an address; of more, somebody chooses which.


def again_path(run: RunRecord) -> str:
    """The Launch page with what this run was asked for; of one that did not succeed, only what is missing since."""
    asked = run.request
    fields = {
        "asset": ",".join(asked.targets),
        "partitions": _partitions(run),
        "upstream": "yes" if asked.upstream else "no",
        "refresh": asked.refresh if run.status is Status.SUCCEEDED else "missing",
        "parallel": asked.max_parallel or "",
        **dict(_config(run)),
    }
    return f"/launch?{urlencode({name: said for name, said in fields.items() if said})}"


def _partitions(run: RunRecord) -> str:
    asked = run.request
    if asked.span is not None:
        return ":".join(key_label(end) for end in asked.span)
    keys = [key for key in asked.keys if key is not None]
    return ", ".join(map(key_label, keys)) if len(keys) <= _MOST_PARTITIONS else ""


def _config(run: RunRecord) -> Iterator[tuple[str, str]]:
    """What was typed; without what looks like a password, which an address would show."""
    for asset, fields in run.request.config.items():
        for name, value in fields.items():
            if without_secrets(value, name) == value:
                yield f"config.{asset}.{name}", _typed(value)


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
