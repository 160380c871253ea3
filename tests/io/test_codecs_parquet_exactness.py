"""Tables of every shape: what is read is what was written, to the last type, or nothing is written."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.io.codecs import CodecError
from flowstone.io.codecs.exact_equality import same_arrow_columns, same_values
from flowstone.io.codecs.pandas_frames import PandasCodec
from flowstone.io.codecs.parquet import PolarsCodec, PyarrowCodec

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

DAY = dt.date(2025, 1, 15)
NAN = float("nan")
CET = dt.timezone(dt.timedelta(hours=1), "CET")


# pandas -----------------------------------------------------------------------------------------------------


def spelled(table):
    """All there is to see of a frame, as text: labels, types, zones, categories and each cell with its type."""
    return [
        *(_labels(labels) for labels in (table.index, table.columns)),
        [_dtype(dtype) for dtype in table.dtypes],
        [[(type(cell), repr(cell)) for cell in table.iloc[:, n]] for n in range(table.shape[1])],
        repr(table.attrs),
        repr(table.flags),
    ]


def _labels(labels):
    levels = [labels.get_level_values(n) for n in range(labels.nlevels)]
    return [
        type(labels), repr(list(labels.names)), repr(getattr(labels, "freq", None)),
        *((_dtype(level.dtype), [(type(item), repr(item)) for item in level]) for level in levels),
    ]  # fmt: skip


def _dtype(dtype):
    categories = getattr(dtype, "categories", None)
    return [
        type(dtype), repr(dtype), repr(getattr(dtype, "tz", None)), getattr(dtype, "ordered", None),
        None if categories is None else _labels(categories),
    ]  # fmt: skip


def categorical(values, categories=None, **options):
    return pd.DataFrame({"a": pd.Categorical(values, categories=categories, **options)})


MOMENTS = pd.to_datetime(["2025-01-01", "2025-01-03"])

KEPT = {
    "no rows of a category": categorical([], ["x", "y"]),
    "no rows of an ordered category": categorical([], ["y", "x"], ordered=True),
    "no rows and no categories": categorical([], []),
    "categories nobody has": categorical(["x"], ["z", "x", "y"]),
    "only nulls of a category": categorical([None, None], ["x"]),
    "numbers as categories": categorical([3, None, 1], [3, 2, 1]),
    "moments as categories": categorical(MOMENTS.tz_localize("Europe/Paris")),
    "a category as index": pd.DataFrame({"a": [1]}, index=pd.CategoricalIndex(["x"], categories=["y", "x"])),
    "a range of columns": pd.DataFrame([[1, 2]]),
    "a range of columns with a name": pd.DataFrame([[1, 2]]).rename_axis(columns="c"),
    "utc": pd.DataFrame({"a": MOMENTS.tz_localize("UTC"), "b": MOMENTS.tz_localize(ZoneInfo("UTC"))}),
    "an offset with a name": pd.DataFrame({"a": MOMENTS.tz_localize(CET)}),
    "utc as index": pd.DataFrame({"a": [1, 2]}, index=MOMENTS.tz_localize("UTC")),
    "utc as columns": pd.DataFrame([[1, 2]], columns=MOMENTS.tz_localize("UTC")),
    "utc in a multi index": pd.DataFrame(
        {"a": [1, 2]}, index=pd.MultiIndex.from_arrays([["x", "y"], MOMENTS.tz_localize("UTC")])
    ),
    "a frequency": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2025-01-01", periods=2, freq="2h", tz="UTC")),
    "a frequency of columns": pd.DataFrame([[1, 2]], columns=pd.date_range("2025-01-01", periods=2, freq="D")),
    "a frequency of columns in a zone": pd.DataFrame(
        [[1, 2]], columns=pd.date_range("2025-03-30", periods=2, freq="h", tz="Europe/Oslo")
    ),
    "a frequency of categories": categorical(MOMENTS[:1], pd.date_range("2025-01-01", periods=3, freq="D")),
    "periods as index": pd.DataFrame({"a": [1]}, index=pd.period_range("2025", periods=1, freq="M")),
    "a dict of one kind": pd.DataFrame({"a": [{"k": 1}, {"k": 2}]}),
    "signed zero and nothing": pd.DataFrame({"a": [-0.0, 0.0, np.nan, -np.nan]}),
    "attrs": pd.DataFrame({"a": [1]}).pipe(lambda table: table.attrs.update(x=[1, {"y": None}]) or table),
}  # fmt: skip


@pytest.mark.parametrize("table", KEPT.values(), ids=KEPT)
def test_what_parquet_alone_would_lose_comes_back(table):
    """Categories, ranges, zones and frequencies are noted in the file, which stays Parquet for everyone else."""
    assert spelled(PandasCodec().decode(PandasCodec().encode(table))) == spelled(table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"a": [{"k": 1}, {"k": 1.5}]}), r"'a' of type object holding dict {'k': 1} .* {'k': 1.0}"),
        (pd.DataFrame({"a": [{"k": 1}, {"j": 2}]}), r"holding dict {'k': 1} would come back"),
        (pd.DataFrame({"a": [{"k": pd.Timestamp(0)}]}), r"holding dict .*Timestamp.* as dict .*datetime"),
        (pd.DataFrame({"a": [{"k": [1]}]}), r"holding dict {'k': \[1\]} .* {'k': array\(\[1\]\)}"),
        (pd.DataFrame({"a": [Decimal("1.1"), Decimal("1.10")]}), r"Decimal\('1.1'\) would .* Decimal\('1.10'\)"),
        (pd.DataFrame({"a": [Decimal("1E+2")]}), r"Decimal\('1E\+2'\) would come back .* Decimal\('100'\)"),
        (pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False), r"allows_duplicate_labels"),
        (pd.DataFrame({"a": [1]}).pipe(lambda t: t.attrs.update(x=(1,)) or t), r"its attrs would .*; use only"),
        (pd.DataFrame({"a": [1]}).pipe(lambda t: t.attrs.update({1: 1}) or t), r"its attrs would .*; use only"),
        (pd.DataFrame({"a": [1]}).pipe(lambda t: t.attrs.update({(1,): 1}) or t), r"^its attrs cannot .* use only"),
        (pd.DataFrame({"a": [1]}).pipe(lambda t: t.attrs.update(x=DAY) or t), r"^its attrs cannot .*date.*; use"),
        (categorical(["x"], pd.Index(["x"], name="n")), r"category of .*name='n'\) would come .* category of "),
        (categorical([1], pd.RangeIndex(1, 3)), r"categories=range\(1, 3\).* would .* as .*categories=\[1, 2\]"),
        (pd.DataFrame([[1, 2]], columns=pd.date_range(
            "2025-01-01", periods=2, freq=pd.offsets.CustomBusinessDay(holidays=["2025-12-25"])
        )), r"the frequency of its columns would be <CustomBusinessDay>"),
        (pd.DataFrame({0: [1], "a": [2]}), r"(DataFrame.columns are different|column names of mixed type)"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([1], name=5)), r"(names. are different|non-str index name)"),
    ],
)  # fmt: skip
def test_what_would_come_back_as_another_value_is_refused(table, message):
    """Inside of cells, in labels, names and attributes; the error shows both."""
    with pytest.raises(CodecError, match=message):
        PandasCodec().encode(table)


def test_a_refusal_is_one_line():
    """Whatever the library has to say, in however many lines."""
    with pytest.raises(
        CodecError, match=r"^Parquet cannot hold this pandas\.DataFrame \(ArrowInvalid: [^\n]*$"
    ):
        PandasCodec().encode(categorical(pd.period_range("2025", periods=2, freq="M")))


NOON = dt.datetime(2025, 7, 1, 12)  # noqa: DTZ001 - a naive one
cells = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from([0.5, -0.0, NAN]), st.text("ab", max_size=2),
    st.sampled_from([b"x", DAY, dt.time(1), dt.timedelta(1), NOON, Decimal("1.1"), Decimal("2.10")]),
    st.sampled_from([pd.NaT, pd.NA, pd.Timestamp(0), np.float64(1), np.int8(1)]),
)  # fmt: skip
LABELS = (cells, st.integers(0, 9), st.text("ab"))
nested = st.recursive(
    cells,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("kj"), inner),
    max_leaves=4,
)
DTYPES = [
    "object", "int8", "uint64", "float32", "float64", "bool", "Int64", "Float64", "boolean", "str", "string",
    "category", "datetime64[us]", "datetime64[ns, UTC]", "timedelta64[ms]", "period[D]", "int32[pyarrow]",
]  # fmt: skip


@st.composite
def arrays(draw, size, kinds=LABELS):
    """A column or labels of some type; values that do not fit it leave it a column of objects."""
    values = draw(st.lists(draw(st.sampled_from(kinds)), min_size=size, max_size=size))
    series = pd.Series(values, dtype=object)
    try:
        return series.astype(draw(st.sampled_from(DTYPES)))
    except Exception:
        return series


@st.composite
def frames(draw):
    """A frame with up to three rows and columns, under labels of any kind."""
    height = draw(st.integers(0, 3))
    columns = [
        draw(arrays(height, (cells, nested, st.integers(0, 9)))) for _ in range(draw(st.integers(0, 3)))
    ]
    table = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(height))
    table.columns = list("abc")[: len(columns)]
    if draw(st.booleans()):
        table.columns = pd.Index(draw(arrays(len(columns))).array)
    if draw(st.booleans()):
        table.index = pd.Index(draw(arrays(height)).array)
    if height and draw(st.booleans()):
        table.index = pd.MultiIndex.from_arrays([table.index, draw(arrays(height)).array])
    return table


@pytest.mark.filterwarnings("ignore")  # pandas warns of many a conversion that the strategy tries.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(frames())
def test_any_frame_comes_back_as_it_was_or_is_refused(table):
    """Whatever is in its cells and labels: judged by what there is to see, not by the check that is tested."""
    before = spelled(table)
    try:
        data = PandasCodec().encode(table)
    except CodecError:
        pass
    else:
        assert spelled(PandasCodec().decode(data)) == before
    assert spelled(table) == before


# pyarrow ----------------------------------------------------------------------------------------------------


def with_time_of_day():
    """A `date64` that has what the type should not have."""
    return pa.Array.from_buffers(pa.date64(), 1, [None, pa.array([3_600_000]).buffers()[1]])


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[]], pa.list_(pa.int8(), 0)),
        with_time_of_day(),
        pa.ListArray.from_arrays([0, 1], with_time_of_day()),
        pa.StructArray.from_arrays([with_time_of_day()], ["x"]),
        pa.array([b""], pa.binary(0)),
    ],
    ids=lambda column: str(column.type),
)  # fmt: skip
def test_an_arrow_column_that_would_not_come_back_is_refused(column):
    """Also where only the values show it, and where the file could not be read again."""
    with pytest.raises(CodecError, match=r"Parquet.*; (convert it|change the column) to "):
        PyarrowCodec().encode(pa.table({"a": column}))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NAN, -0.0, None]),
        pa.array([NAN], pa.float16()),
        pa.array([[NAN, None], None, []]),
        pa.array([[NAN, 1.0], None], pa.list_(pa.float32(), 2)),
        pa.array([{"x": NAN, "y": None}, None]),
        pa.array([[("k", NAN)]], pa.map_(pa.string(), pa.float64())),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int8()), pa.array(["b", "a", "c"])),
        pa.DictionaryArray.from_arrays(pa.array([1], pa.int8()), pa.array(["b", "a"]), ordered=True),
        pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array(["b", "a"]).dictionary_encode()]),
        pa.chunked_array([[NAN], [], [1.0]]),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16))),
        pa.array([Decimal("1.1")], pa.decimal128(38, 37)),
        pa.array([1], pa.timestamp("ns", "+01:00")),
    ],
    ids=lambda column: str(column.type)[:40],
)  # fmt: skip
def test_arrow_columns_with_what_is_not_equal_to_itself_come_back(column):
    """A NaN anywhere, and dictionaries that are cut another way, do not make a column a changed one."""
    back = PyarrowCodec().decode(PyarrowCodec().encode(pa.table({"a": column}))).column("a")
    assert back.type == column.type
    assert repr(back.to_pylist()) == repr(column.to_pylist())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([NAN], [1.0]), ([None], [NAN]), ([[NAN]], [[NAN, NAN]]), ([[NAN], []], [[], [NAN]]), ([[]], [None]),
        ([{"x": NAN}], [None]), ([{"x": NAN}], [{"x": 1.0}]), ([[{"x": NAN}]], [[{"x": None}]]),
    ],
)  # fmt: skip
def test_arrow_columns_that_differ_are_told_apart(left, right):
    """Nulls, NaNs, lengths and places."""
    kind = pa.array([*left, *right]).type
    columns = pa.chunked_array([left], kind), pa.chunked_array([right], kind)
    assert not same_arrow_columns(*columns)
    assert same_arrow_columns(columns[0], pa.chunked_array([[], left], kind))


arrow_types = st.recursive(
    st.sampled_from([
        pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.string(), pa.large_string(),
        pa.string_view(), pa.binary(), pa.binary(2), pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("ns"),
        pa.timestamp("s"), pa.timestamp("ns", "Europe/Paris"), pa.duration("ms"), pa.decimal128(5, 2),
        pa.decimal256(50, 2), pa.dictionary(pa.int8(), pa.string()),
    ]),
    lambda inner: st.one_of(
        inner.map(pa.list_), inner.map(pa.large_list), inner.map(lambda kind: pa.list_(kind, 2)),
        inner.map(lambda kind: pa.list_(kind, 0)), inner.map(lambda kind: pa.struct([("x", kind)])),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
    ),
    max_leaves=3,
)  # fmt: skip


ATOMS = (
    (pa.types.is_floating, [0.5, -0.0, NAN]), (pa.types.is_boolean, [True]), (pa.types.is_date, [DAY]),
    (pa.types.is_integer, [0, 100]), (pa.types.is_time, [dt.time(1, 2, 3)]), (pa.types.is_timestamp, [NOON]),
    (pa.types.is_fixed_size_binary, [b"xy"]), (pa.types.is_binary, [b"\xff", b""]), (pa.types.is_null, [None]),
    (pa.types.is_duration, [dt.timedelta(1)]), (pa.types.is_decimal, [Decimal("1.10")]),
)  # fmt: skip


def some(kind, draw):
    """A Python value of an Arrow type, or None."""
    if draw(st.booleans()):
        return None
    if pa.types.is_struct(kind):
        return {"x": some(kind.field(0).type, draw)}
    if pa.types.is_map(kind):
        return [("k", some(kind.item_type, draw))]
    if pa.types.is_nested(kind):
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else draw(st.integers(0, 2))
        return [some(kind.value_type, draw) for _ in range(size)]
    values = next((values for fits, values in ATOMS if fits(kind)), ["", "ü", "a"])
    return draw(st.sampled_from(values))


@given(st.data())
def test_any_arrow_column_comes_back_as_it_was_or_is_refused(data):
    """Any nesting of types, with nulls and NaNs everywhere."""
    kind = data.draw(arrow_types)
    try:
        column = pa.array([some(kind, data.draw) for _ in range(data.draw(st.integers(0, 3)))], kind)
    except pa.ArrowException:
        return  # No such array can be made from Python.
    table = pa.table({"a": column})
    try:
        written = PyarrowCodec().encode(table)
    except CodecError:
        return
    back = PyarrowCodec().decode(written)
    assert back.schema.equals(table.schema, check_metadata=True)
    assert repr(back.column(0).to_pylist()) == repr(column.to_pylist())


# polars -----------------------------------------------------------------------------------------------------


@settings(suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_polars_frame_comes_back_as_it_was_or_is_refused(data):
    """Polars' own strategy makes frames of any type, nested ones too."""
    parametric = pytest.importorskip("polars.testing.parametric")
    table = data.draw(parametric.dataframes(max_cols=3, max_size=4))
    try:
        written = PolarsCodec().encode(table)
    except CodecError:
        return
    back = PolarsCodec().decode(written)
    assert back.schema == table.schema
    assert repr(back.to_dict(as_series=False)) == repr(table.to_dict(as_series=False))


def test_a_value_that_changes_is_refused_whoever_changes_it():
    """Should a version of a library give other values back, storing says which column."""

    class Forgetting(PolarsCodec):
        def _read(self, data):
            return super()._read(data).with_columns(pl.col("b") * 2)

    class Adding(PyarrowCodec):
        def _read(self, data):
            table = super()._read(data)
            return table.set_column(1, "b", pa.array([2]))

    class Doubling(PandasCodec):
        def _read(self, data):
            return super()._read(data).assign(b=2)

    for codec, make in ((Forgetting(), pl.DataFrame), (Adding(), pa.table), (Doubling(), pd.DataFrame)):
        with pytest.raises(CodecError, match=r"(column 'b' would come back.*other values|changed.*\"b\")"):
            codec.encode(make({"a": [1], "b": [1]}))


# Cells ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0), (1, True), (0.0, -0.0), (None, NAN), (Decimal("1.1"), Decimal("1.10")), ([1], (1,)),
        ({"a": 1}, {"a": 1.0}), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([1], [1, 2]), (np.int8(1), np.int64(1)),
        (np.array([1]), np.array([1.0])), (np.array([1]), np.array([[1]])), (pd.NaT, pd.NA), (object(), object()),
    ],
)  # fmt: skip
def test_cells_that_look_alike_are_told_apart(left, right):
    """Types, signs of zero, digits and orders count."""
    assert same_values(left, left)
    assert not same_values(left, right)
    assert not same_values([left], [right])


def test_cells_that_cannot_be_compared_are_not_the_same():
    """An object whose `==` raises is never taken for another."""

    class Raising:
        __hash__ = None

        def __eq__(self, other):
            raise RuntimeError

    assert not same_values(Raising(), Raising())
