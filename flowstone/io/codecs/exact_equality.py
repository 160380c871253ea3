"""Whether what was read is what was written: equal, and of the same types all the way down.

`==` is not enough: to it 1 is 1.0 and True, 0.0 is -0.0, a NaN is not itself, `Decimal("1.1")` is
`Decimal("1.10")`, and to Arrow two arrays that both hold a NaN differ.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["same_arrow_columns", "same_values"]


def same_values(left: Any, right: Any) -> bool:
    """Whether two values from the cells, labels or attributes of a frame are the same."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return same_values([*left.items()], [*right.items()])
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same_values, left, right))
    if type(left).__module__ == "numpy" and hasattr(left, "tolist"):
        return bool(left.dtype == right.dtype) and same_values(left.tolist(), right.tolist())
    return left is right or _same_atoms(left, right)


def _same_atoms(left: Any, right: Any) -> bool:
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    try:
        # `repr` for signs of zero, digits of decimals and names of time zones.
        return bool(left == right) and repr(left) == repr(right)
    except Exception:  # Objects of other libraries and of the user's.
        return False


def same_arrow_columns(left: pa.ChunkedArray, right: pa.ChunkedArray) -> bool:
    """Whether two columns of one type hold the same; how they are cut into chunks is no part of it."""
    if left.equals(right):
        return True
    import pyarrow as pa  # noqa: PLC0415 - who has such a column has imported it

    left, right = left.combine_chunks(), right.combine_chunks()
    # What is too long for one chunk stays in several.
    return isinstance(left, pa.Array) and isinstance(right, pa.Array) and _same_arrays(left, right)


def _same_arrays(left: pa.Array, right: pa.Array) -> bool:
    """Looks inside, down to the NaNs, which are all that makes equal arrays unequal."""
    if left.equals(right):
        return True
    if not left.type.equals(right.type) or not left.is_valid().equals(right.is_valid()):
        return False
    return _same_inside(left, right)


def _same_inside(left: pa.Array, right: pa.Array) -> bool:
    import pyarrow as pa  # noqa: PLC0415 - as above

    if isinstance(left, pa.ExtensionArray):
        return _same_arrays(left.storage, right.storage)
    if isinstance(left, pa.DictionaryArray):
        if left.type.ordered and not _same_arrays(left.dictionary, right.dictionary):
            return False
        return _same_arrays(left.dictionary_decode(), right.dictionary_decode())
    if pa.types.is_floating(left.type):
        bits = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[left.type.bit_width]
        return bool(left.view(bits).equals(right.view(bits)))
    if isinstance(left, pa.StructArray):
        return all(map(_same_arrays, left.flatten(), right.flatten()))
    return _same_lists(left, right)


def _same_lists(left: pa.Array, right: pa.Array) -> bool:
    import pyarrow as pa  # noqa: PLC0415 - as above

    if isinstance(left, pa.MapArray):  # A list of pairs, which has no `value_lengths` as a map.
        pairs = pa.list_(pa.struct([left.type.key_field, left.type.item_field]))
        return _same_arrays(left.cast(pairs), right.cast(pairs))
    if not hasattr(left, "flatten"):
        return False
    if hasattr(left, "value_lengths") and not left.value_lengths().equals(right.value_lengths()):
        return False
    inner, other = left.flatten(), right.flatten()
    return len(inner) == len(other) and inner.type.equals(other.type) and _same_arrays(inner, other)
