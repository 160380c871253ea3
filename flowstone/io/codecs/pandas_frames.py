"""Frames of pandas as Parquet.

pandas and Parquet disagree on many types, and most disagreements are silent: an object column of text comes back
as a string column, a list as a numpy array, the 1 of a dict as 1.0. So what was written is read back and compared,
strictly, before anything is stored. Some things that Parquet loses are noted in the file and put back: categories
that are no text or that no row has, labels of columns that are a range, the `freq` of labels that are moments, and
whether UTC is `datetime.timezone.utc` or a `ZoneInfo`.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from flowstone.io.codecs.codec import CodecError, type_name
from flowstone.io.codecs.exact_equality import same_values
from flowstone.io.codecs.parquet import CONVERT, ParquetCodec, require_sizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["PandasCodec"]

_NOTES: Final = b"flowstone"
_FREQ: Final = "freq"
_COLUMNS_FREQ: Final = "columns_freq"
_ATTRIBUTES: Final = b"PANDAS_ATTRS"  # Where pandas itself writes and reads them.
_PLAIN_ATTRIBUTES: Final = "use only text, numbers, lists and dicts with text keys in them"


class PandasCodec(ParquetCodec):
    """Takes `pandas.DataFrame`."""

    library = "pandas"
    table = "DataFrame"

    def _encode_checked(self, value: pd.DataFrame) -> bytes:
        notes = _notes(value)
        data = self._write(value, notes)
        back = self._read(data)
        categories = _lost_categories(value, back)
        if categories:
            data = self._write(value, {**notes, "categories": categories})
            back = self._read(data)
        self._require_same(value, back)
        return data

    def _write(self, value: pd.DataFrame, notes: Mapping[str, Any]) -> bytes:
        import pyarrow as pa  # noqa: PLC0415 - only a process that meets such a frame pays for it
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        more = {_NOTES: json.dumps(notes)} if notes else {}
        if value.attrs:
            more[_ATTRIBUTES] = _attributes(value.attrs)
        table = pa.Table.from_pandas(value)
        require_sizes(table.schema)
        if more:
            table = table.replace_schema_metadata({**(table.schema.metadata or {}), **more})
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        return buffer.getvalue()

    def _read(self, data: bytes) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415 - as above
        import pyarrow as pa  # noqa: PLC0415 - as above
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        frame = pd.read_parquet(io.BytesIO(data), engine="pyarrow")
        metadata = pq.read_schema(pa.BufferReader(data)).metadata or {}
        if _NOTES in metadata:
            _put_back(frame, json.loads(metadata[_NOTES]))
        return frame

    def _require_same(self, value: pd.DataFrame, back: pd.DataFrame) -> None:
        if len(back.columns) == len(value.columns):
            for place, column in enumerate(value.columns):
                self._require_same_column(column, value.iloc[:, place], back.iloc[:, place])
        labels = (("index", value.index, back.index), ("columns", value.columns, back.columns))
        for what, was, becomes in labels:
            if not _same_frequency(was, becomes):
                raise _changed(f"the frequency of its {what} would be {becomes.freq!r:.80}")
        try:
            sys.modules["pandas"].testing.assert_frame_equal(
                back, value, check_exact=True, check_index_type=True, check_column_type=True
            )
        except AssertionError as error:
            raise _changed(" ".join(str(error).split())[:200]) from error
        for what, was, becomes in labels:
            if not _same_labels(was, becomes):
                raise _changed(f"the labels of its {what} would have other types or names")
        if not same_values(back.attrs, value.attrs):
            raise CodecError(
                f"its attrs would come back from Parquet as {back.attrs!r:.80}", _PLAIN_ATTRIBUTES
            )

    def _require_same_column(self, column: object, was: pd.Series, becomes: pd.Series) -> None:
        if not _same_dtype(was.dtype, becomes.dtype):
            raise self._differs(column, *_difference(was.dtype, becomes.dtype))
        if str(was.dtype) != "object":
            return
        for left, right in zip(was, becomes, strict=True):
            if not same_values(left, right):
                raise self._differs(column, f"object holding {_shown(left, right)}", _shown(right, left))


def _notes(value: pd.DataFrame) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    if type(value.columns).__name__ == "RangeIndex":
        notes["columns"] = [value.columns.start, value.columns.stop, value.columns.step]
    for what, labels in ((_FREQ, value.index), (_COLUMNS_FREQ, value.columns)):
        if (freq := _frequency(labels)) is not None:
            notes[what] = freq
    zones = {
        "values": {str(n): _noted(dtype) for n, dtype in enumerate(value.dtypes) if _noted(dtype)},
        "index": _noted_levels(value.index),
        "columns": _noted_levels(value.columns),
    }
    notes |= {"zones": zones} if any(zones.values()) else {}
    return notes


def _frequency(labels: pd.Index) -> str | None:
    """How far apart moments are as labels, if they know it; that of periods is part of their dtype."""
    if getattr(labels, "freq", None) is None or hasattr(labels.dtype, "freq"):
        return None
    return str(labels.freqstr)


def _attributes(attrs: dict[Any, Any]) -> str:
    try:
        return json.dumps(attrs)
    except (TypeError, ValueError, RecursionError) as error:
        cause = " ".join(str(error).split())[:200]
        raise CodecError(f"its attrs cannot be kept in Parquet ({cause})", _PLAIN_ATTRIBUTES) from error


def _noted(dtype: Any) -> list[Any] | None:
    """A zone that is a plain offset, with its name: pyarrow makes a `ZoneInfo` of some of them."""
    zone = getattr(dtype, "tz", None)
    if type(zone) is not timezone:
        return None
    offset = zone.utcoffset(None)
    label = zone.tzname(None)
    return [offset.days * 86_400 + offset.seconds, None if label == timezone(offset).tzname(None) else label]


def _noted_levels(labels: pd.Index) -> dict[str, list[Any]]:
    dtypes = [labels.dtype] if labels.nlevels == 1 else labels.dtypes
    return {str(n): zone for n, dtype in enumerate(dtypes) if (zone := _noted(dtype))}


def _zone(noted: list[Any]) -> timezone:
    seconds, label = noted
    offset = timedelta(seconds=seconds)
    return timezone(offset) if label is None else timezone(offset, label)


def _with_zones(labels: Any, zones: Mapping[str, list[Any]]) -> Any:
    for place, noted in zones.items():
        if labels.nlevels == 1:
            return labels.tz_convert(_zone(noted))
        level = labels.levels[int(place)].tz_convert(_zone(noted))
        labels = labels.set_levels(level, level=int(place))
    return labels


def _lost_categories(value: pd.DataFrame, back: pd.DataFrame) -> dict[str, Any]:
    """The categories that a plain file does not keep, by the column's place: text as in JSON's keys."""
    lost: dict[str, Any] = {}
    for place, dtype in enumerate(value.dtypes):
        if str(dtype) == "category" and not _same_dtype(back.dtypes.iloc[place], dtype):
            categories = dtype.categories
            lost[str(place)] = [_packed(categories), bool(dtype.ordered), _frequency(categories)]
    return lost


def _packed(categories: pd.Index) -> str:
    import pyarrow as pa  # noqa: PLC0415 - as above

    table = pa.Table.from_pandas(categories.to_frame(index=False, name="categories"), preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return base64.b64encode(sink.getvalue()).decode("ascii")


def _unpacked(text: str) -> pd.Index:
    import pandas as pd  # noqa: PLC0415 - as above
    import pyarrow as pa  # noqa: PLC0415 - as above

    table = pa.ipc.open_stream(base64.b64decode(text)).read_all()
    return pd.Index(table.to_pandas()["categories"]).rename(None)


def _put_back(frame: pd.DataFrame, notes: Mapping[str, Any]) -> None:
    import pandas as pd  # noqa: PLC0415 - as above

    for place, (packed, ordered, *freq) in notes.get("categories", {}).items():
        categories = _unpacked(packed)
        if any(freq):
            categories.freq = freq[0]  # Only moments were written with one.
        dtype = pd.CategoricalDtype(categories, ordered=ordered)
        column = frame.iloc[:, int(place)]
        values = column.astype("object") if column.dtype == "category" or column.empty else column
        frame.isetitem(int(place), pd.Categorical(values, dtype=dtype))
    if "columns" in notes:
        frame.columns = pd.RangeIndex(*notes["columns"], name=frame.columns.name)
    zones = notes.get("zones", {})
    for place, noted in zones.get("values", {}).items():
        frame.isetitem(int(place), frame.iloc[:, int(place)].dt.tz_convert(_zone(noted)))
    frame.index = _with_zones(frame.index, zones.get("index", {}))
    frame.columns = _with_zones(frame.columns, zones.get("columns", {}))
    for what, labels in ((_FREQ, frame.index), (_COLUMNS_FREQ, frame.columns)):
        if what in notes:
            labels.freq = notes[what]


def _same_dtype(was: Any, becomes: Any) -> bool:
    if was != becomes or type(was) is not type(becomes) or repr(was) != repr(becomes):
        return False
    if str(was) == "category":
        return _same_labels(was.categories, becomes.categories)
    zone, other = getattr(was, "tz", None), getattr(becomes, "tz", None)
    return repr(zone) == repr(other)


def _same_labels(was: Any, becomes: Any) -> bool:
    if type(was) is not type(becomes) or not same_values(list(was.names), list(becomes.names)):
        return False
    if was.nlevels > 1:
        levels = range(was.nlevels)
        return all(_same_labels(was.get_level_values(n), becomes.get_level_values(n)) for n in levels)
    if (
        not _same_dtype(was.dtype, becomes.dtype)
        or not was.equals(becomes)
        or not _same_frequency(was, becomes)
    ):
        return False
    return str(was.dtype) != "object" or all(map(same_values, was, becomes))


def _same_frequency(was: Any, becomes: Any) -> bool:
    return type(was) is not type(becomes) or bool(
        getattr(was, "freq", None) == getattr(becomes, "freq", None)
    )


def _difference(was: Any, becomes: Any) -> tuple[str, str]:
    """Two types in words that tell them apart: at full length, or with those of their categories."""
    for words in (str, repr, _categories):
        if words(was) != words(becomes):
            return words(was), words(becomes)
    return repr(was), f"{becomes!r} that differs within"


def _categories(dtype: Any) -> str:
    labels = getattr(dtype, "categories", None)
    return repr(dtype) if labels is None else f"category of {labels!r:.200}"


def _shown(value: object, other: object) -> str:
    return type_name(value) if type(value) is not type(other) else f"{type_name(value)} {value!r:.60}"


def _changed(difference: str) -> CodecError:
    return CodecError(f"it would come back changed from Parquet ({difference})", CONVERT)
