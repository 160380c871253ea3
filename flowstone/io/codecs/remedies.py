"""What to type instead of a value that no codec takes."""

from __future__ import annotations

from enum import Enum
from typing import Final

from flowstone.io.codecs.parquet import TABLE_LIBRARIES

__all__ = ["remedy_for"]

_PLAIN_BASES: Final = (bool, int, float, complex, str, bytes, bytearray, dict, list, tuple, set, frozenset)
_BY_NAME: Final = {
    "builtins.memoryview": "return bytes(value)",
    "builtins.mappingproxy": "return dict(value)",
    "builtins.dict_keys": "return list(value)",
    "builtins.dict_values": "return list(value)",
    "builtins.dict_items": "return dict(value)",
    "collections.ChainMap": "return dict(value)",
    "array.array": "return value.tolist()",
    "pandas.Timestamp": "return value.to_pydatetime(), or a data frame",
    "pandas.Timedelta": "return value.to_pytimedelta(), or a data frame",
}
_OTHERWISE: Final = (
    "return built-in types, dataclasses, pydantic models or data frames, pass your own codec with codecs=[...], or "
    'store it with an IO manager that has codec="pickle"'
)


def remedy_for(value: object) -> str:
    """The remedy for a value of a type that is stored nowhere, as a clause."""
    return _of_a_library(value) or _of_a_class(type(value)) or _OTHERWISE


def _of_a_library(value: object) -> str | None:
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if library == "numpy":
        is_scalar = getattr(value, "shape", None) == ()
        return "return value.item()" if is_scalar else "return value.tolist(), or a data frame"
    named = _BY_NAME.get(f"{library if library == 'pandas' else kind.__module__}.{kind.__qualname__}")
    if named is None and library in TABLE_LIBRARIES:
        return "return the table itself, one asset (or partition) for each table"
    return named


def _of_a_class(kind: type) -> str | None:
    if hasattr(kind, "get_secret_value"):
        return "hand it to those who need it as a resource; a value that is kept is kept in clear"
    if hasattr(kind, "__attrs_attrs__"):
        return "return attrs.asdict(value), or make it a dataclass"
    base = None if issubclass(kind, Enum) else next((b for b in _PLAIN_BASES if issubclass(kind, b)), None)
    return (
        None if base is None else f"return {base.__name__}(value), or a dataclass if it holds more than that"
    )
