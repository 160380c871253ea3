"""Tables of three libraries: each comes back from its own, exactly, or is refused."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.errors import IOManagerError
from flowstone.io import FileIO
from flowstone.io.codecs import CodecError
from flowstone.io.codecs.classes import Classes
from flowstone.io.codecs.encoding import encode_tree
from flowstone.io.codecs.pandas_frames import PandasCodec
from flowstone.io.codecs.parquet import PolarsCodec, PyarrowCodec
from tests.io.contract import target

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

DAY = dt.date(2025, 1, 15)
NOON = dt.datetime(2025, 1, 15, 12, tzinfo=dt.UTC)


# polars -----------------------------------------------------------------------------------------------------

POLARS = {
    "ints": pl.DataFrame(
        {"a": pl.Series([1, None], dtype=pl.Int8), "b": pl.Series([2**64 - 1, 0], dtype=pl.UInt64)}
    ),
    "int128": pl.DataFrame({"a": pl.Series([2**100], dtype=pl.Int128)}),
    "floats": pl.DataFrame({"a": [float("nan"), float("inf"), -0.0, None]}),
    "text": pl.DataFrame({"a": ["ü", "", None, "\x00"]}),
    "binary": pl.DataFrame({"a": [b"\xff", None]}),
    "bool": pl.DataFrame({"a": [True, None]}),
    "null": pl.DataFrame({"a": [None, None]}),
    "date": pl.DataFrame({"a": [DAY], "b": [dt.time(1, 2, 3)], "c": [dt.timedelta(1)]}),
    "zoned": pl.DataFrame({"a": [NOON]}).with_columns(
        pl.col("a").dt.convert_time_zone("Europe/Paris").alias("b")
    ),
    "milliseconds": pl.DataFrame({"a": pl.Series([NOON], dtype=pl.Datetime("ms", "UTC"))}),
    "decimal": pl.DataFrame({"a": [Decimal("1.10"), None]}),
    "categorical": pl.DataFrame({"a": pl.Series(["x", "y", "x"], dtype=pl.Categorical)}),
    "enum": pl.DataFrame({"a": pl.Series(["x"], dtype=pl.Enum(["y", "x"]))}),
    "list": pl.DataFrame({"a": [[1, 2], [], None]}),
    "array": pl.DataFrame({"a": pl.Series([[1, 2]], dtype=pl.Array(pl.Int32, 2))}),
    "struct": pl.DataFrame({"a": [{"x": 1, "y": ["z"]}, None]}),
    "no rows": pl.DataFrame(schema={"a": pl.Int16, "b": pl.String}),
    "no columns": pl.DataFrame(),
    "odd names": pl.DataFrame({"": [1], "a b": [2], "ü.x": [3]}),
}


@pytest.mark.parametrize("table", POLARS.values(), ids=POLARS)
def test_polars_frames_come_back_exactly(table):
    """Every type polars can write to Parquet comes back with schema, nulls and values."""
    back = PolarsCodec().decode(PolarsCodec().encode(table))
    assert type(back) is pl.DataFrame
    assert back.schema == table.schema
    assert back.equals(table)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.floats(), st.none() | st.text()
        ),
        max_size=20,
    )
)
def test_any_polars_values_come_back(rows):
    """Whatever numbers and text are in the columns."""
    table = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Float64, "c": pl.String}, orient="row")
    assert PolarsCodec().decode(PolarsCodec().encode(table)).equals(table)


# pyarrow ----------------------------------------------------------------------------------------------------

ARROW = {
    "seconds": pa.array([dt.datetime(2025, 1, 1)], pa.timestamp("s")),  # noqa: DTZ001 - a naive type
    "nanoseconds": pa.array([1], pa.timestamp("ns", "UTC")),
    "date64": pa.array([DAY], pa.date64()),
    "time32": pa.array([dt.time(1)], pa.time32("s")),
    "duration": pa.array([1, None], pa.duration("s")),
    "large": pa.array(["a", None], pa.large_string()),
    "list": pa.array([[1], None], pa.list_(pa.int8())),
    "large list": pa.array([[1], []], pa.large_list(pa.int8())),
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
    "dictionary": pa.array(["a", "b", "a"], pa.dictionary(pa.int8(), pa.string())),
    "half": pa.array([1.0], pa.float16()),
    "decimal": pa.array([Decimal("1.10")], pa.decimal256(50, 2)),
    "fixed": pa.array([b"abcd"], pa.binary(4)),
    "null": pa.array([None], pa.null()),
    "struct": pa.array([{"x": 1}], pa.struct([pa.field("x", pa.int8(), nullable=True)])),
    "uint": pa.array([2**64 - 1], pa.uint64()),
}


@pytest.mark.parametrize("column", ARROW.values(), ids=ARROW)
def test_arrow_tables_come_back_exactly(column):
    """Types that Parquet itself has not, such as seconds, come back as they were."""
    table = pa.table({"a": column})
    back = PyarrowCodec().decode(PyarrowCodec().encode(table))
    assert back.schema.equals(table.schema, check_metadata=True)
    assert back.equals(table)


def test_arrow_metadata_nullability_and_repeated_names_come_back():
    """What surrounds the data: metadata of schema and fields, not-null fields, two columns of one name."""
    schema = pa.schema(
        [pa.field("a", pa.int8(), nullable=False, metadata={"k": "v"}), pa.field("a", pa.string())],
        {"m": "n"},
    )
    table = pa.Table.from_arrays([pa.array([1], pa.int8()), pa.array(["x"])], schema=schema)
    back = PyarrowCodec().decode(PyarrowCodec().encode(table))
    assert back.schema.equals(schema, check_metadata=True)
    assert back.equals(table)


def test_rows_without_columns_are_refused():
    """Parquet would silently forget how many rows a table without columns has."""
    with pytest.raises(CodecError, match=r"it has 2 rows without a column.*; add a column"):
        PyarrowCodec().encode(pa.table({"a": [1, 2]}).select([]))
    assert PyarrowCodec().decode(PyarrowCodec().encode(pa.table({}))).shape == (0, 0)


def test_an_arrow_type_parquet_has_not_is_refused():
    """A type without any spelling in Parquet is refused with its name."""
    table = pa.table({"a": pa.array([(1, 1, 1)], pa.month_day_nano_interval())})
    with pytest.raises(CodecError, match=r"Parquet cannot hold this pyarrow.Table.*; change the column"):
        PyarrowCodec().encode(table)


# pandas -----------------------------------------------------------------------------------------------------

PANDAS = {
    "range": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(5, 9, 2)),
    "gaps": pd.DataFrame({"a": [1, 2, 3]}).iloc[[0, 2]],
    "text": pd.DataFrame({"a": ["x", None]}),
    "named index": pd.DataFrame({"a": [1]}, index=pd.Index(["q"], name="key")),
    "index named as a column": pd.DataFrame({"a": [1]}, index=pd.Index(["q"], name="a")),
    "multi index": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["p", None])
    ),
    "multi columns": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])),
    "integer columns": pd.DataFrame([[1, 2]]),
    "named columns": pd.DataFrame({"a": [1]}).rename_axis(columns="c"),
    "categorical": pd.DataFrame({"a": pd.Categorical(["x", "y"], categories=["y", "x"], ordered=True)}),
    "nullable": pd.DataFrame(
        {"a": pd.array([1, None], dtype="Int64"), "b": pd.array([True, None], dtype="boolean")}
    ),
    "float": pd.DataFrame({"a": [1.5, np.nan, np.inf]}),
    "float16": pd.DataFrame({"a": np.array([1], dtype="float16")}),
    "zoned": pd.DataFrame({"a": pd.to_datetime(["2025-01-01"]).tz_localize("Europe/Paris")}),
    "timedelta": pd.DataFrame({"a": pd.to_timedelta([1, 2], unit="h")}),
    "period": pd.DataFrame({"a": pd.period_range("2025-01", periods=2, freq="M")}),
    "interval": pd.DataFrame({"a": pd.interval_range(0, 2)}),
    "decimal objects": pd.DataFrame({"a": [Decimal("1.10"), None]}, dtype=object),
    "date objects": pd.DataFrame({"a": [DAY]}, dtype=object),
    "bytes objects": pd.DataFrame({"a": [b"x"]}, dtype=object),
    "arrow": pd.DataFrame({"a": pd.array([1], dtype="int64[pyarrow]")}),
    "no rows": pd.DataFrame({"a": pd.array([], dtype="Int8"), "b": pd.array([], dtype="datetime64[ns]")}),
    "empty": pd.DataFrame(),
}


@pytest.mark.parametrize("table", PANDAS.values(), ids=PANDAS)
def test_pandas_frames_come_back_exactly(table):
    """Types, index and column labels come back."""
    back = PandasCodec().decode(PandasCodec().encode(table))
    pd.testing.assert_frame_equal(back, table, check_exact=True)
    assert list(back.dtypes) == list(table.dtypes)


def test_pandas_attributes_and_a_frequency_come_back():
    """`attrs` are kept, and so is `freq`, of which Parquet knows nothing."""
    table = pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2025-01-01", periods=2, freq="D"))
    table.attrs = {"source": "test"}
    back = PandasCodec().decode(PandasCodec().encode(table))
    assert back.attrs == {"source": "test"}
    assert back.index.freq == table.index.freq
    pd.testing.assert_frame_equal(back, table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"a": ["x"]}, dtype=object), r"column 'a' of type object would come .* as str;"),
        (pd.DataFrame({"a": [[1, 2]]}), r"'a' of type object holding list would come back .* numpy.ndarray"),
        (pd.DataFrame({"a": [(1, 2)]}), r"column 'a' of type object"),
        (pd.DataFrame({"a": [1, "x"]}, dtype=object), r"Parquet cannot hold this pandas.DataFrame"),
        (pd.DataFrame({"a": [1, True]}, dtype=object), r"Parquet cannot hold this pandas.DataFrame"),
        (pd.DataFrame({"a": [Decimal(1), np.nan]}, dtype=object), r"of type object holding float"),
        (pd.DataFrame(index=pd.RangeIndex(3)), r"come back changed from Parquet \(DataFrame are"),
        (pd.DataFrame({"a": [1j]}), r"Parquet cannot hold this pandas.DataFrame"),
        (pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), r"Parquet cannot hold this pandas.DataFrame"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"Parquet cannot hold this pandas.DataFrame.*Duplicate"),
        (pd.DataFrame({"a": np.array(["2025"], "datetime64[s]")}), r"of type datetime64\[s\] would"),
        (pd.DataFrame({"a": [object()]}), r"Parquet cannot hold this pandas.DataFrame"),
    ],
)  # fmt: skip
def test_a_pandas_frame_that_would_change_is_refused(table, message):
    """Where Parquet would silently give another type back, the column is named instead."""
    with pytest.raises(CodecError, match=message):
        PandasCodec().encode(table)


# Not tables -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (pl.LazyFrame({"a": [1]}), r"LazyFrame, not polars.DataFrame; call \.collect\(\) on it"),
        (pl.Series([1]), r"Series, not polars.DataFrame; call \.to_frame\(\) on it"),
        (pd.Series([1]), r"pandas\.Series, not pandas.DataFrame; call \.to_frame\(\) on it"),
        (pd.Timestamp(0), r"Timestamp, not pandas.DataFrame; return a pandas.DataFrame"),
        (pa.record_batch({"a": [1]}), r"RecordBatch, not pyarrow.Table; make it a table with pyarrow"),
        (pa.array([1]), r"Int64Array, not pyarrow.Table; return a pyarrow.Table"),
        (pd.DataFrame, r"of type type, which no codec takes"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
async def test_what_is_not_a_table_says_how_to_make_one(files, root, value, remedy):
    """Series, lazy frames and the like are refused with the call that makes a table of them."""
    with pytest.raises(IOManagerError, match=remedy):
        await files.store(target(), value)
    assert not root.exists()


@pytest.mark.parametrize(
    "table", [pl.DataFrame(), pd.DataFrame(), pa.table({})], ids=["polars", "pandas", "pyarrow"]
)
def test_a_table_inside_another_value_is_refused_with_its_own_remedy(table):
    """Tables are values of their own, not items."""
    with pytest.raises(CodecError, match=r"at value\['a'\]; return the table itself"):
        encode_tree({"a": table}, Classes())


def test_a_schema_that_does_not_survive_is_refused():
    """Should a version of a library give another type back, storing says so."""

    class Changing(PolarsCodec):
        def _read(self, data):
            return super()._read(data).cast(pl.Int64)

    class Renaming(PyarrowCodec):
        def _read(self, data):
            return super()._read(data).cast(pa.schema([("a", pa.int64())]))

    with pytest.raises(CodecError, match=r"column 'a' of type Int8 would come back from Parquet as Int64"):
        Changing().encode(pl.DataFrame({"a": [1]}, schema={"a": pl.Int8}))
    with pytest.raises(
        CodecError, match=r"column 'a' of type .*int8.* would come back from Parquet as .*int64"
    ):
        Renaming().encode(pa.table({"a": pa.array([1], pa.int8())}))


# In files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "suffix"),
    [
        (pl.DataFrame({"a": [1]}), "polars.parquet"),
        (pd.DataFrame({"a": [1]}), "pandas.parquet"),
        (pa.table({"a": [1]}), "pyarrow.parquet"),
    ],
)
async def test_each_library_gets_its_own_table_back(files, root, table, suffix):
    """The suffix remembers the library; the file is ordinary Parquet that anybody reads."""
    stored = await files.store(target(), table)
    assert stored.metadata == {"codec": "parquet"}
    assert stored.location.endswith(suffix)
    back = await files.load(stored.location)
    assert type(back) is type(table)
    assert back.equals(table)
    assert pl.read_parquet(root / stored.location).shape == (1, 1)


async def test_codec_parquet_takes_the_tables_of_all_three(root):
    """`FileIO(codec="parquet")` is for tables, whichever library they come from."""
    files = FileIO(root, codec="parquet")
    for attempt, table in enumerate(
        (pl.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}), pa.table({"a": [1]}))
    ):
        stored = await files.store(target(attempt=attempt), table)
        assert type(await files.load(stored.location)) is type(table)
    await files.teardown()


async def test_many_tables_at_a_time(files):
    """The libraries are used from several threads at once."""
    tables = [pl.DataFrame({"n": [n] * 100}) for n in range(20)]
    stored = await asyncio.gather(*(files.store(target(str(n)), table) for n, table in enumerate(tables)))
    back = await asyncio.gather(*(files.load(each.location) for each in stored))
    assert all(left.equals(right) for left, right in zip(back, tables, strict=True))


WITHOUT = """
import asyncio, sys
sys.modules[sys.argv[3]] = None
from flowstone.io import FileIO
try:
    asyncio.run(FileIO(sys.argv[1]).load(sys.argv[2]))
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("table", "missing", "extra"),
    [
        (pl.DataFrame({"a": [1]}), "polars", "polars"),
        (pa.table({"a": [1]}), "pyarrow", "pyarrow"),
        (pd.DataFrame({"a": [1]}), "pyarrow", "pandas"),
    ],
)
async def test_a_missing_library_names_the_extra(files, root, table, missing, extra):
    """Loading a table without its library says what to install."""
    stored = await files.store(target(), table)
    command = [sys.executable, "-c", WITHOUT, str(root), stored.location, missing]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert f'is not installed; install it with: pip install "flowstone[{extra}]"' in done.stdout


def test_a_missing_pyarrow_names_the_extra_when_storing(monkeypatch):
    """A pandas frame without pyarrow cannot be written, and says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(CodecError, match=r'pip install "flowstone\[pandas\]"'):
        PandasCodec().encode(pd.DataFrame({"a": [1]}))
