"""Tables of polars, pandas and pyarrow as Parquet.

Each library has its own suffix (`.polars.parquet`), so a table comes back from the library it came from. No
library is imported before such a table appears or such a file is loaded, and the three names are the only
ones ever imported.

Parquet and the libraries do not agree on every type, and most disagreements are silent: an object column of
text comes back as a string column, a list as a numpy array. So storing makes sure. polars and pyarrow are
strictly typed: there a round trip of the table without its rows shows whether the schema survives. A pandas
frame, where so much depends on the values, is read back and compared as a whole.
"""

from __future__ import annotations

import base64
import io
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

from flowstone.io.codecs.codec import CodecError, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["TABLE_LIBRARIES", "PandasCodec", "ParquetCodec", "PolarsCodec", "PyarrowCodec"]

_CONVERT: Final = "convert it to a type that Parquet keeps"
_REMEDIES: Final[Mapping[str, str]] = {
    "LazyFrame": "call .collect() on it",
    "Series": "call .to_frame() on it",
    "RecordBatch": "make it a table with pyarrow.Table.from_batches([batch])",
    "RecordBatchReader": "call .read_all() on it",
    "GroupBy": "aggregate it first",
}


TABLE_LIBRARIES: Final = frozenset({"polars", "pandas", "pyarrow"})
"""The libraries whose tables are stored as Parquet."""


class ParquetCodec(ABC):
    """What the three have in common: the name, whose values they take, and the check of the schema."""

    name: ClassVar[str] = "parquet"
    library: ClassVar[str]
    table: ClassVar[str]

    @property
    def suffix(self) -> str:
        return f"{self.library}.parquet"

    def can_encode(self, value: object) -> bool:
        # Takes the library's other types too, to refuse them with a remedy of their own.
        return _library(value) == self.library

    def encode(self, value: object) -> bytes:
        if type(value) is not getattr(sys.modules[self.library], self.table):
            raise CodecError(
                f"it is of type {type_name(value)}, not {self.library}.{self.table}",
                _REMEDIES.get(type(value).__name__, f"return a {self.library}.{self.table}"),
            )
        try:
            return self._encode_checked(value)
        except ImportError as error:
            raise self._missing() from error
        except CodecError:
            raise
        except Exception as error:
            raise CodecError(
                f"Parquet cannot hold this {self.library}.{self.table} "
                f"({type(error).__name__}: {str(error)[:300]})",
                "change the column to a type that Parquet has",
            ) from error

    def decode(self, data: bytes) -> object:
        try:
            return self._read(data)
        except ImportError as error:
            raise self._missing() from error

    @abstractmethod
    def _encode_checked(self, value: Any) -> bytes:
        """The table as a Parquet file, once it is certain that `_read` gives it back."""

    @abstractmethod
    def _read(self, data: bytes) -> object:
        """The table of a Parquet file."""

    def _missing(self) -> CodecError:
        return CodecError(
            f"it is a {self.library}.{self.table}, and a library it needs is not installed",
            f'install it with: pip install "flowstone[{self.library}]"',
        )

    def _differs(self, column: object, was: object, becomes: object) -> CodecError:
        return CodecError(
            f"column {column!r} of type {was} would come back from Parquet as {becomes}", _CONVERT
        )

    def _require_columns(self, columns: int, rows: int) -> None:
        if rows and not columns:
            raise CodecError(
                f"it has {rows} rows without a column, and Parquet keeps no such rows",
                "add a column, or return the number of rows",
            )


class PolarsCodec(ParquetCodec):
    """Takes `polars.DataFrame`."""

    library = "polars"
    table = "DataFrame"

    def _encode_checked(self, value: pl.DataFrame) -> bytes:
        self._require_columns(value.width, value.height)
        empty = self._read(self._write(value.head(0)))
        for column, was in value.schema.items():
            if empty.schema.get(column) != was:
                raise self._differs(column, was, empty.schema.get(column))
        return self._write(value)

    def _write(self, value: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        value.write_parquet(buffer)
        return buffer.getvalue()

    def _read(self, data: bytes) -> pl.DataFrame:
        import polars as pl  # noqa: PLC0415 - only a process that meets such a table pays for it

        return pl.read_parquet(io.BytesIO(data))


class PyarrowCodec(ParquetCodec):
    """Takes `pyarrow.Table`."""

    library = "pyarrow"
    table = "Table"

    def _encode_checked(self, value: pa.Table) -> bytes:
        self._require_columns(value.num_columns, value.num_rows)
        empty = self._read(self._write(value.slice(0, 0)))
        for was, becomes in zip(value.schema, empty.schema, strict=True):
            if not becomes.equals(was, check_metadata=True):
                raise self._differs(was.name, was, becomes)
        return self._write(value)

    def _write(self, value: pa.Table) -> bytes:
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        buffer = io.BytesIO()
        pq.write_table(value, buffer)
        return buffer.getvalue()

    def _read(self, data: bytes) -> pa.Table:
        import pyarrow as pa  # noqa: PLC0415 - as above
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above

        file = pq.ParquetFile(pa.BufferReader(data))
        table = file.read()
        # Parquet has no seconds and names list items its own way; the file keeps the schema it had.
        kept = base64.b64decode(file.metadata.metadata[b"ARROW:schema"])
        return table.cast(pa.ipc.read_schema(pa.py_buffer(kept)))


class PandasCodec(ParquetCodec):
    """Takes `pandas.DataFrame`; the `freq` of a time index, which is only a hint, is not kept."""

    library = "pandas"
    table = "DataFrame"

    def _encode_checked(self, value: pd.DataFrame) -> bytes:
        data = self._write(value)
        back = self._read(data)
        for column, was in value.dtypes.items():
            if back[column].dtype != was:
                raise self._differs(column, was, back[column].dtype)
            if str(was) == "object":
                self._require_same_objects(column, value[column], back[column])
        try:
            sys.modules["pandas"].testing.assert_frame_equal(back, value, check_exact=True, check_freq=False)
        except AssertionError as error:
            difference = " ".join(str(error).split())[:200]
            raise CodecError(f"it would come back changed from Parquet ({difference})", _CONVERT) from error
        return data

    def _write(self, value: pd.DataFrame) -> bytes:
        buffer = io.BytesIO()
        value.to_parquet(buffer, engine="pyarrow")
        return buffer.getvalue()

    def _read(self, data: bytes) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415 - as above

        return pd.read_parquet(io.BytesIO(data), engine="pyarrow")

    def _require_same_objects(self, column: object, values: Iterable[Any], back: Iterable[Any]) -> None:
        # Each object has a type of its own, and frames compare equal though None has become NaN.
        for was, becomes in zip(values, back, strict=True):
            if type(was) is not type(becomes):
                raise self._differs(column, f"object holding {type_name(was)}", type_name(becomes))


def _library(value: object) -> str:
    return type(value).__module__.partition(".")[0]
