"""Time zones: what says of a moment where it was, so that it comes back with the very zone it had."""

from __future__ import annotations

from datetime import timedelta, timezone, tzinfo
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from flowstone.io.codecs.codec import CodecError, type_name

__all__ = ["ZoneName", "decode_zone", "encode_zone"]

ZoneName: TypeAlias = str | list[Any] | None
"""None: what ISO text says by itself. Text: a key of `ZoneInfo`. A list: an offset of another kind."""

_NAMED: Final = "timezone"
_PYDANTIC: Final = "pydantic"


def encode_zone(zone: tzinfo | None) -> ZoneName:
    """How the zone is found again. Raises `CodecError` if it cannot be."""
    if zone is None:
        return None
    if type(zone) is timezone:
        return _encode_fixed(zone)
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    if _is_pydantic(zone):
        return [_PYDANTIC, _seconds(zone)]
    raise CodecError(
        f"its time zone is a {type_name(zone)} that cannot be found again by name",
        "use datetime.timezone.utc or zoneinfo.ZoneInfo",
    )


def decode_zone(name: str | list[Any]) -> tzinfo:
    """The zone. Raises whatever its constructor raises."""
    if isinstance(name, str):
        return ZoneInfo(name)
    kind, *rest = name
    if kind == _NAMED:
        parts, label = rest
        return timezone(timedelta(*parts), label)
    if kind == _PYDANTIC:
        from pydantic_core import TzInfo  # noqa: PLC0415 - only for what pydantic itself has parsed

        return TzInfo(*rest)
    raise CodecError(f"it holds a time zone of kind {kind!r}", "load it with a newer flowstone")


def _encode_fixed(zone: timezone) -> ZoneName:
    offset = zone.utcoffset(None)
    label = zone.tzname(None)
    if label == timezone(offset).tzname(None):
        return None
    return [_NAMED, [offset.days, offset.seconds, offset.microseconds], label]


def _is_pydantic(zone: tzinfo) -> bool:
    """Whether it is what pydantic gives a time it has parsed: an offset in seconds, of a type of its own."""
    kind = type(zone)
    return kind.__name__ == "TzInfo" and kind.__module__.partition(".")[0] == "pydantic_core"


def _seconds(zone: tzinfo) -> int:
    offset = zone.utcoffset(None)
    assert offset is not None
    return round(offset.total_seconds())
