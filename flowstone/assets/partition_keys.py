"""Partition keys as text and back: every key has one text, and no two keys share one.

    key                     text                            remark
    "eu"                    eu                              plain text is itself, unless
    "a:b", "", "2025-01-15" s: + base64url of UTF-8         it could be mistaken for something else
    1                       i:1
    date(2025, 1, 15)       d:2025-01-15
    aware datetime          dt:2025-01-15T02:00:00Z         the instant in UTC; microseconds if there are any
    naive datetime          ndt:2025-01-15T02:00:00
    ("eu", date(…))         t: + base64url of JSON          ["eu","d:2025-01-15"]; inner tuples: inner lists
    None                    n:                              "no partition", as text for a table

A text is at most 1,024 bytes of UTF-8 long: it stands in every index of a database, beside the asset's name.

Types are exact, because equality in Python is not: `True == 1`, and a subclass of `date` may carry more than
a date. Decoding accepts only what encoding produces, so two texts never name one key either.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

from flowstone.assets.exact_dates import REAL, is_date, is_datetime
from flowstone.errors import PartitionError

__all__ = ["PartitionKey", "canonical_key", "decode_partition", "encode_partition"]

PartitionKey: TypeAlias = str | int | date | datetime | tuple["PartitionKey", ...]
"""A value that can name a partition: exactly these types, tuples nested at most 100 deep."""

_MAX_DEPTH = 100
_LONGEST = 1_024  # Bytes.
_SURELY_SHORT = _LONGEST // 4  # Characters.
# Separators and tags; control characters, line separators, halves of surrogate pairs; dates; nothing at all.
_NOT_PLAIN = re.compile(
    r"[:|\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z|\A\Z"
)


def encode_partition(value: Any) -> str:
    """The text of a partition key.

    Args:
        value: A `PartitionKey`, or None for "no partition".

    Raises:
        PartitionError: The value is of another type (a subclass counts as one), holds half of a surrogate
            pair, is nested too deeply, is an instant outside the years 1 to 9999 in UTC, or its text is longer
            than 1,024 bytes.
    """
    text = _encoded(value)
    if len(text) > _SURELY_SHORT:
        _refuse_long(text, value)
    return text


def _refuse_long(text: str, value: object) -> None:
    size = len(text.encode(errors="replace"))
    if size > _LONGEST:
        raise PartitionError(
            f"The partition key {value!r:.60}… is {size:,} bytes long as text, and {_LONGEST:,} is the most: "
            f"use a shorter name, a hash of it for example, and keep the long one in the value or its metadata."
        )


def _encoded(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return value if _NOT_PLAIN.search(value) is None else "s:" + _to_base64(value)
    if is_date(value):
        return f"d:{value.isoformat()}"
    if kind is int:
        return "i:" + _int_text(value)
    if is_datetime(value):
        return _datetime_text(value)
    if kind is tuple:
        return "t:" + _to_base64(json.dumps(_listed(value, 1), separators=(",", ":")))
    if value is None:
        return "n:"
    raise PartitionError(_unsupported(value))


def decode_partition(text: str) -> Any:
    """The key that `encode_partition` made the text from.

    Args:
        text: What `encode_partition` returned.

    Raises:
        PartitionError: The text is not what `encode_partition` returns for any key.
    """
    if type(text) is not str:
        raise PartitionError(f"An encoded partition is a str, not {type(text).__name__}.")
    if len(text) > _SURELY_SHORT:
        _refuse_long(text, text)
    if _NOT_PLAIN.search(text) is None:
        return text
    try:
        value = _decode_tagged(text)
        faithful = encode_partition(value) == text
    except (ValueError, OverflowError, RecursionError) as error:
        raise PartitionError(_unreadable(text)) from error
    if not faithful:
        raise PartitionError(_unreadable(text))
    return value


def canonical_key(value: Any) -> Any:
    """The key as it is kept: aware datetimes in UTC, everything else unchanged.

    Raises:
        PartitionError: As `encode_partition`.
    """
    kind = type(value)
    text = encode_partition(value)
    return decode_partition(text) if kind is tuple or is_datetime(value) else value


def _int_text(value: int) -> str:
    try:
        return str(value)
    except ValueError as error:  # The interpreter refuses to print integers beyond a few thousand digits.
        raise PartitionError("An int partition key has too many digits: use a str.") from error


def _datetime_text(value: datetime) -> str:
    if value.tzinfo is UTC:
        return f"dt:{value.isoformat().removesuffix('+00:00')}Z"
    if value.utcoffset() is None:
        return "ndt:" + value.replace(tzinfo=None).isoformat()
    try:
        return "dt:" + value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    except OverflowError as error:
        raise PartitionError(f"{value!r} is outside the years 1 to 9999 in UTC.") from error


def _listed(value: tuple[object, ...], depth: int) -> list[Any]:
    if depth > _MAX_DEPTH:
        raise PartitionError(f"A partition key may nest tuples at most {_MAX_DEPTH} deep.")
    if any(part is None for part in value):
        raise PartitionError(f"{value!r:.200} has a part None: each part of a key is a key of its own.")
    return [_listed(part, depth + 1) if type(part) is tuple else _encoded(part) for part in value]


def _decode_tagged(text: str) -> Any:  # noqa: PLR0911 - one line a tag
    tag, separator, rest = text.partition(":")
    if not separator:
        raise ValueError(text)
    match tag:
        case "s":
            return _from_base64(rest)
        case "i":
            return int(rest)
        case "d":
            return REAL.date.fromisoformat(rest)
        case "dt":
            return REAL.datetime.fromisoformat(rest).astimezone(UTC)
        case "ndt":
            return REAL.datetime.fromisoformat(rest)
        case "t":
            return _tupled(json.loads(_from_base64(rest)))
        case "n" if not rest:
            return None
        case _:
            raise ValueError(text)


def _tupled(parts: object) -> tuple[Any, ...]:
    if not isinstance(parts, list):
        raise PartitionError(f"{parts!r:.200} is not a list of key parts.")
    return tuple(decode_partition(part) if isinstance(part, str) else _tupled(part) for part in parts)


def _to_base64(text: str) -> str:
    try:
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")
    except UnicodeEncodeError as error:
        raise PartitionError(f"{text!r:.200} holds half of a surrogate pair, which is not text.") from error


def _from_base64(text: str) -> str:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(text) from error


def _unsupported(value: object) -> str:
    kind = type(value).__name__
    base = next((name for name in (bool, str, int, datetime, date, tuple) if isinstance(value, name)), None)
    remedy = {
        bool: "use 0 or 1, or a str",
        str: "pass str(value) or its .value",
        int: "pass int(value)",
        datetime: "pass a plain datetime",
        date: "pass a plain date",
        tuple: "pass tuple(value)",
        None: "use a str, int, date, datetime or a tuple of these",
    }[base]
    return f"{value!r:.200} of type {kind} cannot be a partition key: {remedy}."


def _unreadable(text: str) -> str:
    return (
        f"{text!r:.200} is not an encoded partition key: take it from encode_partition(), which writes a day "
        f"as 'd:2025-01-15' and tags every text that could be mistaken for something else."
    )
