"""Values to bytes and back with one manager's codecs, and what a user is told where that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.assets.one_shot import find_one_shot
from flowstone.errors import IOManagerError
from flowstone.io.codecs import CodecError

if TYPE_CHECKING:
    from flowstone.io.codecs import Codec
    from flowstone.io.codecs.selection import Codecs
    from flowstone.io.locations import Location
    from flowstone.io.manager import Target

__all__ = ["decoded", "encoded", "location_error", "named"]


def encoded(codecs: Codecs, target: Target, value: object) -> tuple[Codec, bytes]:
    """The codec that takes `value`, and its bytes.

    Raises:
        IOManagerError: It can be read only once, no codec takes it, or the one that does cannot encode it.
    """
    found = find_one_shot(value)
    if found is not None:
        raise IOManagerError(f"{_refused(target)}: {found.explanation()}.")
    try:
        codec = codecs.writer(value)
        return codec, codec.encode(value)
    except CodecError as error:
        raise IOManagerError(f"{_refused(target)}: {error}") from error
    except BaseException as error:
        raise IOManagerError(
            f"{_refused(target)}: its {type(value).__qualname__} could not be encoded ({_cause(error)}); "
            f"return another type, or pass a codec of your own with codecs=[...]."
        ) from error


def decoded(codecs: Codecs, place: Location, data: bytes) -> object:
    """The value whose bytes were stored at `place`.

    Raises:
        IOManagerError: It cannot be rebuilt in this process.
    """
    try:
        return codecs.reader(place.suffix).decode(data)
    except CodecError as error:
        raise IOManagerError(f"Cannot load {str(place)!r}: {error}") from error
    except BaseException as error:
        raise IOManagerError(
            f"Cannot load {str(place)!r}: it could not be decoded ({_cause(error)}); use the libraries' "
            f"versions that stored it, or materialize the asset again."
        ) from error


def location_error(doing: str, location: str, kind: str) -> IOManagerError:
    """What to raise for a location that a manager of this kind never gave."""
    return IOManagerError(
        f"Cannot {doing} {location[:200]!r}: it is not a location of a {kind}; "
        f"use the IO manager that stored the value."
    )


def named(target: Target) -> str:
    """The asset, and the partition where there is one, as an error says it."""
    return target.asset if target.partition_key is None else f"{target.asset}[{target.partition_key[:100]}]"


def _refused(target: Target) -> str:
    return f"Cannot store asset {named(target)!r}"


def _cause(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {str(error)[:300]}"
    except BaseException:
        return type(error).__name__
