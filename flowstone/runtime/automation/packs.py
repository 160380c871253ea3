"""Runs that a sensor has asked for and that later looks start: many of them in little room, as JSON has it.

One look may ask for 100,000 runs, and until they are started they are part of the sensor's record, which each look
writes anew. Runs that are asked for together are much alike: compressed, one of them takes some sixty bytes.
"""

from __future__ import annotations

import json
import zlib
from base64 import b85decode, b85encode
from typing import TYPE_CHECKING, Any

from flowstone.store.automation_codec import decode_new_run, encode_new_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.automation import NewRun

__all__ = ["pack", "taken", "text_of"]

_FAST = 1


def text_of(run: NewRun) -> str:
    """One run, as JSON."""
    return json.dumps(encode_new_run(run), separators=(",", ":"))


def pack(runs: Sequence[str]) -> str:
    """Some runs that are JSON already, in one text."""
    return b85encode(zlib.compress(f"[{','.join(runs)}]".encode(), _FAST)).decode()


def taken(packs: Sequence[Any], limit: int) -> tuple[list[NewRun], tuple[Any, ...]]:
    """At most `limit` runs of the first pack, and all that is left."""
    runs = [decode_new_run(each) for each in json.loads(zlib.decompress(b85decode(packs[0])))]
    left = (pack([text_of(run) for run in runs[limit:]]),) if len(runs) > limit else ()
    return runs[:limit], (*left, *packs[1:])
