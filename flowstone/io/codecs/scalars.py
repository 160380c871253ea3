"""Single values JSON has no word for, each as a tag and what stands behind it: `{"$date": "2025-01-15"}`.

Lookup is by exact type: a subclass (`pandas.Timestamp` is a `datetime`, `numpy.float64` a `float`) would come
back as its base, so it is not in the table and is refused.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from flowstone.assets.exact_dates import REAL, real_kind
from flowstone.frozen import frozen
from flowstone.io.codecs.zones import decode_zone, encode_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["SCALARS", "SCALAR_TAGS", "Scalar", "scalar_of"]

_ADDRESSES: Final = (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)


@frozen
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


def _encode_moment(value: datetime | time) -> str | list[Any]:
    zone = encode_zone(value.tzinfo)
    if zone is None and not value.fold:
        return value.isoformat()
    text = value.isoformat() if zone is None else value.replace(tzinfo=None).isoformat()
    return [text, zone, value.fold]


def _decode_datetime(data: str | list[Any]) -> datetime:
    if isinstance(data, str):
        return REAL.datetime.fromisoformat(data)
    text, zone, fold = data
    moment = REAL.datetime.fromisoformat(text).replace(fold=fold)
    return moment if zone is None else moment.replace(tzinfo=decode_zone(zone))


def _decode_time(data: str | list[Any]) -> time:
    if isinstance(data, str):
        return time.fromisoformat(data)
    text, zone, fold = data
    moment = time.fromisoformat(text).replace(fold=fold)
    return moment if zone is None else moment.replace(tzinfo=decode_zone(zone))


def _encode_pattern(pattern: re.Pattern[Any]) -> list[Any]:
    text = pattern.pattern
    flags = pattern.flags & ~re.DEBUG
    return [text, flags] if isinstance(text, str) else [_encode_bytes(text), flags, "bytes"]


def _decode_pattern(parts: list[Any]) -> re.Pattern[Any]:
    text, flags, *kind = parts
    return re.compile(_decode_bytes(text) if kind else text, flags)


SCALARS: Final[Mapping[type, Scalar]] = {
    REAL.date: Scalar("$date", REAL.date.isoformat, REAL.date.fromisoformat),
    REAL.datetime: Scalar("$datetime", _encode_moment, _decode_datetime),
    time: Scalar("$time", _encode_moment, _decode_time),
    timedelta: Scalar("$timedelta", _encode_timedelta, _decode_timedelta),
    Decimal: Scalar("$decimal", str, Decimal),
    UUID: Scalar("$uuid", str, UUID),
    bytes: Scalar("$bytes", _encode_bytes, _decode_bytes),
    bytearray: Scalar("$bytearray", _encode_bytes, lambda text: bytearray(_decode_bytes(text))),
    type(Path()): Scalar("$path", str, Path),
    PurePosixPath: Scalar("$posixpath", str, PurePosixPath),
    PureWindowsPath: Scalar("$windowspath", str, PureWindowsPath),
    Fraction: Scalar(
        "$fraction", lambda value: [value.numerator, value.denominator], lambda parts: Fraction(*parts)
    ),
    complex: Scalar("$complex", lambda value: [value.real, value.imag], lambda parts: complex(*parts)),
    range: Scalar("$range", lambda value: [value.start, value.stop, value.step], lambda parts: range(*parts)),
    re.Pattern: Scalar("$pattern", _encode_pattern, _decode_pattern),
    **{kind: Scalar(f"${kind.__name__.lower()}", str, kind) for kind in _ADDRESSES},
}
"""By exact type."""


def scalar_of(kind: type) -> Scalar | None:
    """How values of exactly this type are written, or None; those of freezegun count as what they stand for."""
    return SCALARS.get(kind) or SCALARS.get(real_kind(kind))


SCALAR_TAGS: Final[Mapping[str, Scalar]] = {scalar.tag: scalar for scalar in SCALARS.values()}
"""By tag."""
