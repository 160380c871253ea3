"""Which codec writes a value, and which reads a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from flowstone.io.codecs.classes import Classes
from flowstone.io.codecs.codec import CodecError, type_name
from flowstone.io.codecs.pandas_frames import PandasCodec
from flowstone.io.codecs.parquet import PolarsCodec, PyarrowCodec
from flowstone.io.codecs.plain import BytesCodec, PickleCodec, TextCodec
from flowstone.io.codecs.remedies import remedy_for
from flowstone.io.codecs.tagged import DataclassCodec, JsonCodec, PydanticCodec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.io.codecs.codec import Codec

__all__ = ["AUTO", "Codecs"]

AUTO: Final = "auto"
_PICKLE: Final = PickleCodec.name
_SUFFIX: Final = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


class Codecs:
    """The codecs of one IO manager.

    Args:
        name: `auto` (by the value), or the name of the one codec that writes.
        models: Classes whose instances may be rebuilt, besides those already imported.
        extra: The user's own codecs, asked before the built-in ones.

    Raises:
        ValueError: No codec has that name, or two share a suffix.
    """

    def __init__(self, name: str = AUTO, *, models: Iterable[type] = (), extra: Iterable[Codec] = ()) -> None:
        self._name = name
        extra = tuple(extra)
        self._all = (*extra, *_built_in(Classes(models)), *([PickleCodec()] if name == _PICKLE else []))
        self._by_suffix = _by_suffix(self._all)
        self._writers = [codec for codec in self._all if name in (AUTO, codec.name)]
        # What takes a value of these types depends on nothing but the type, unless a codec is the user's.
        kinds: tuple[object, ...] = () if extra else (None, False, 0, 0.0, "", b"", [], {})
        self._writer_of: dict[type, Codec] = {
            type(value): codec
            for value in kinds
            if (codec := next((each for each in self._writers if each.can_encode(value)), None)) is not None
        }
        if not self._writers:
            known = ", ".join(sorted({AUTO, _PICKLE, *(codec.name for codec in self._all)}))
            raise ValueError(
                f"There is no codec {name!r}; choose one of {known}, or pass your own with codecs=[...]."
            )

    @property
    def name(self) -> str:
        """The name given."""
        return self._name

    def writer(self, value: object) -> Codec:
        """The first codec that takes `value`. Raises `CodecError` if none does."""
        known = self._writer_of.get(type(value))
        if known is not None:
            return known
        for codec in self._writers:
            if codec.can_encode(value):
                return codec
        if self._name == AUTO:
            raise CodecError(f"it is of type {type_name(value)}, which no codec takes", remedy_for(value))
        raise CodecError(
            f"it is of type {type_name(value)}, which the codec {self._name!r} does not take",
            'return what the codec takes, or use codec="auto"',
        )

    def reader(self, suffix: str) -> Codec:
        """The codec that wrote files with this suffix. Raises `CodecError` if it is not one of these."""
        codec = self._by_suffix.get(suffix)
        if codec is not None:
            return codec
        if suffix == PickleCodec.suffix:
            raise CodecError(
                "it is a pickle, and loading a pickle can run any code",
                'if you trust everyone who can write there, give the IO manager codec="pickle"',
            )
        raise CodecError(
            f"no codec here reads {suffix!r} files",
            "pass the codec that wrote it with codecs=[...]",
        )


def _built_in(classes: Classes) -> list[Codec]:
    # The last of the tagged ones is also the one that reads their common suffix.
    return [
        BytesCodec(),
        TextCodec(),
        PydanticCodec(classes),
        DataclassCodec(classes),
        JsonCodec(classes),
        PolarsCodec(),
        PandasCodec(),
        PyarrowCodec(),
    ]


def _by_suffix(codecs: Iterable[Codec]) -> dict[str, Codec]:
    found: dict[str, Codec] = {}
    for codec in codecs:
        suffix = codec.suffix
        if _SUFFIX.fullmatch(suffix) is None or len(suffix) > 40:
            raise ValueError(
                f"The codec {codec.name!r} has the suffix {suffix!r}; use a-z, 0-9, '.' and '-' only."
            )
        known = found.setdefault(suffix, codec)
        if known is not codec and not (isinstance(known, JsonCodec) and isinstance(codec, JsonCodec)):
            raise ValueError(
                f"The codecs {known.name!r} and {codec.name!r} share the suffix {suffix!r}; change one."
            )
    return found
