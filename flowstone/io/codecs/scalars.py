"""Single values JSON has no word for, each as a tag and what stands behind it: `{"$date": "2025-01-15"}`.

Lookup is by exact type: a subclass (`pandas.Timestamp` is a `datetime`, `numpy.float64` a `float`) would come
back as its base, so it is not in the table and is refused.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from flowstone.io.codecs.codec import CodecError, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCALARS", "SCALAR_TAGS", "Scalar"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """How one type is written: its tag, to JSON and back."""

    tag: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _encode_bytes(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode("ascii")


def _decode_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _encode_timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _decode_timedelta(parts: list[int]) -> timedelta:
    return timedelta(days=parts[0], seconds=parts[1], microseconds=parts[2])


def _zone(zone: tzinfo | None) -> str | None:
    """The name under which a `ZoneInfo` is found again; None for what ISO text says by itself."""
    if zone is None or (
        type(zone) is timezone and zone.tzname(None) == timezone(zone.utcoffset(None)).tzname(None)
    ):
        return None
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    raise CodecError(
        f"its time zone is a {type_name(zone)} that cannot be found again by name",
        "use datetime.timezone.utc or zoneinfo.ZoneInfo",
    )


def _encode_moment(value: datetime | time) -> str | list[str | int | None]:
    zone = _zone(value.tzinfo)
    if zone is None and not value.fold:
        return value.isoformat()
    text = value.isoformat() if zone is None else value.replace(tzinfo=None).isoformat()
    return [text, zone, value.fold]


def _decode_datetime(data: str | list[Any]) -> datetime:
    if isinstance(data, str):
        return datetime.fromisoformat(data)
    text, zone, fold = data
    moment = datetime.fromisoformat(text).replace(fold=fold)
    return moment if zone is None else moment.replace(tzinfo=ZoneInfo(zone))


def _decode_time(data: str | list[Any]) -> time:
    if isinstance(data, str):
        return time.fromisoformat(data)
    text, zone, fold = data
    moment = time.fromisoformat(text).replace(fold=fold)
    return moment if zone is None else moment.replace(tzinfo=ZoneInfo(zone))


SCALARS: Final[Mapping[type, Scalar]] = {
    date: Scalar("$date", date.isoformat, date.fromisoformat),
    datetime: Scalar("$datetime", _encode_moment, _decode_datetime),
    time: Scalar("$time", _encode_moment, _decode_time),
    timedelta: Scalar("$timedelta", _encode_timedelta, _decode_timedelta),
    Decimal: Scalar("$decimal", str, Decimal),
    UUID: Scalar("$uuid", str, UUID),
    bytes: Scalar("$bytes", _encode_bytes, _decode_bytes),
    bytearray: Scalar("$bytearray", _encode_bytes, lambda text: bytearray(_decode_bytes(text))),
    type(Path()): Scalar("$path", str, Path),
}
"""By exact type."""

SCALAR_TAGS: Final[Mapping[str, Scalar]] = {scalar.tag: scalar for scalar in SCALARS.values()}
"""By tag."""
