"""Tables of polars, pandas and pyarrow as Parquet.

Each library has its own suffix (`.polars.parquet`), so a table comes back from the library it came from. No
library is imported before such a table appears or such a file is loaded, and the three names are the only
ones ever imported.

Parquet and the libraries do not agree on every type, and most disagreements are silent: a `date64` loses its time
of day, a list of no items cannot be read again. So storing makes sure: every table is read back and compared
before it is stored, which costs about as much as loading it. Rejected: a list of types known to be safe, because
some depend on the values and every version of a library adds its own.
"""

from __future__ import annotations

import base64
import io
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

from flowstone.counting import count
from flowstone.io.codecs.codec import CodecError, type_name
from flowstone.io.codecs.exact_equality import same_arrow_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl
    import pyarrow as pa

__all__ = ["CONVERT", "TABLE_LIBRARIES", "ParquetCodec", "PolarsCodec", "PyarrowCodec", "require_sizes"]

CONVERT: Final = "convert it to a type that Parquet keeps"
"""The remedy for what does not come back."""

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
                f"({type(error).__name__}: {' '.join(str(error).split())[:300]})",
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
            f"column {column!r} of type {was} would come back from Parquet as {becomes}", CONVERT
        )

    def _changes(self, column: object) -> CodecError:
        return CodecError(f"column {column!r} would come back from Parquet with other values", CONVERT)

    def _require_columns(self, columns: int, rows: int) -> None:
        if rows and not columns:
            raise CodecError(
                f"it has {count(rows, 'row')} without a column, and Parquet keeps no such rows",
                "add a column, or return the number of rows",
            )


class PolarsCodec(ParquetCodec):
    """Takes `polars.DataFrame`."""

    library = "polars"
    table = "DataFrame"

    def _encode_checked(self, value: pl.DataFrame) -> bytes:
        self._require_columns(value.width, value.height)
        data = self._write(value)
        back = self._read(data)
        for column, was in value.schema.items():
            if back.schema.get(column) != was:
                raise self._differs(column, was, back.schema.get(column))
        for column in value.columns:
            if not back[column].equals(value[column], null_equal=True):
                raise self._changes(column)
        return data

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
        require_sizes(value.schema)
        data = self._write(value)
        back = self._read(data)
        for was, becomes in zip(value.schema, back.schema, strict=True):
            if not becomes.equals(was, check_metadata=True):
                raise self._differs(was.name, was, becomes)
        if not back.schema.equals(value.schema, check_metadata=True):
            raise CodecError("the metadata of its schema would come back changed", "drop it from the schema")
        for column, was, becomes in zip(value.column_names, value.columns, back.columns, strict=True):
            if not same_arrow_columns(was, becomes):
                raise self._changes(column)
        return data

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


def require_sizes(schema: pa.Schema) -> None:
    """Refuse lists of the fixed size 0: pyarrow cannot read some of them again, and ends the process at others."""
    waiting = [(field.name, field.type) for field in schema]
    for name, kind in waiting:  # It grows while it is read.
        if getattr(kind, "list_size", None) == 0:
            raise CodecError(
                f"column {name!r} has lists of the fixed size 0, which Parquet cannot hold",
                "change the column to lists of any size",
            )
        inner = [kind.field(place).type for place in range(kind.num_fields)]
        inner += [getattr(kind, part) for part in ("value_type", "storage_type") if hasattr(kind, part)]
        waiting += [(name, each) for each in inner]


def _library(value: object) -> str:
    return type(value).__module__.partition(".")[0]
