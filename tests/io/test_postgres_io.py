"""PostgresIO: what it makes of values, and what it finds again in the run store."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.errors import IOManagerError
from flowstone.io import FileIO, PostgresIO
from flowstone.io.postgres import MAX_SIZE
from flowstone.store import FileStore, MemoryStore
from flowstone.store.postgres import PostgresStore
from tests.io.contract import HOSTILE_KEYS, IOManagerContract, target
from tests.io.exactness import assert_same
from tests.io.recorded import Recorded
from tests.io.test_codecs_json import trees


@dataclass
class Line:
    """An instance of a user's class."""

    sku: str


class KeptByRecords(IOManagerContract):
    """The contract, where a value is written with the record of its success."""

    async def test_refuses_to_store_the_same_again(self, manager):
        """The same value of the same attempt is the same object; the store sees to it that it is recorded once."""
        first = await manager.store(target(), "value")
        assert (await manager.store(target(), "value")).location == first.location
        assert await manager.load(first.location) == "value"


class TestInPostgres(KeptByRecords):
    """In a database."""

    @pytest.fixture
    def manager(self, run_store):
        return Recorded(PostgresIO(), run_store)


class TestInMemory(KeptByRecords):
    """In a memory store."""

    @pytest.fixture
    def manager(self):
        return Recorded(PostgresIO(), MemoryStore())


@pytest.fixture
def values(run_store):
    """A PostgresIO whose values are recorded in a database."""
    return Recorded(PostgresIO(), run_store)


# What is stored ---------------------------------------------------------------------------------------------


async def test_store_leaves_the_bytes_to_the_run_store():
    """`store` writes nothing: the bytes, their size, digest and codec are for the success record."""
    store = MemoryStore()
    stored = await PostgresIO().attach(store).store(target("2025-01-15", run_id="r1", attempt=2), b"abc")
    assert (stored.payload, stored.size, stored.metadata) == (b"abc", 3, {"codec": "bytes"})
    assert stored.digest == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert stored.location == "orders/2025-01-15/r1-2.ba7816bf8f01cfea414140de5dae2223.bin"
    assert not await store.has_payload(stored.location)


async def test_locations_are_those_of_file_io(files):
    """Readable, injective for hostile keys and short, as FileIO's are."""
    values = PostgresIO().attach(MemoryStore())
    for key in HOSTILE_KEYS:
        for_key = target(key, run_id="Run/1")
        assert (await values.store(for_key, [1])).location == (await files.store(for_key, [1])).location


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(trees, min_size=1, max_size=20))
async def test_every_tree_comes_back_exactly(values, items):
    """Any nesting of built-in types comes back from the database equal and with the same types."""
    stored = await asyncio.gather(*(values.store(target(str(n)), item) for n, item in enumerate(items)))
    back = await asyncio.gather(*(values.load(each.location) for each in stored))
    for one, item in zip(back, items, strict=True):
        assert_same(one, item)


@pytest.mark.parametrize(
    ("value", "codec"),
    [(b"\0\xff", "bytes"), ("a\0\ud800\r\n", "text"), ({"a": (1, None)}, "json"), (Line("x"), "dataclass")],
)
async def test_codecs_are_those_of_file_io(values, value, codec):
    """The codec goes by the value's type, and the value comes back as it went."""
    stored = await values.store(target(), value)
    assert stored.metadata == {"codec": codec}
    assert_same(await values.load(stored.location), value)


async def test_tables_come_back(values):
    """A data frame is stored as parquet."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1, 2, None], "b": ["x", "y", "z"]})
    stored = await values.store(target(), frame)
    assert stored.metadata == {"codec": "parquet"}
    assert (await values.load(stored.location)).equals(frame)


@pytest.mark.parametrize("size", [8192, 8193, 65_536, 65_537, 1_000_000, 1_048_577, 20_000_000])
async def test_large_values_come_back(values, size):
    """Below and above every threshold on the way: threads, shared queries, the shared commit."""
    for value in (bytes(size - 1) + b"x", "x" * (size - 2) + "ü"):
        stored = await values.store(target(), value)
        assert stored.size == size
        assert await values.load(stored.location) == value


async def test_the_largest_value_comes_back(values):
    """64 MiB."""
    stored = await values.store(target(), bytes(MAX_SIZE))
    assert await values.load(stored.location) == bytes(MAX_SIZE)


async def test_values_of_many_sizes_at_a_time(values):
    """Concurrent stores and loads of small and large values each get their own."""
    items = [f"{n}" * (1 if n % 3 else 400_000) for n in range(60)]
    stored = await asyncio.gather(*(values.store(target(str(n)), item) for n, item in enumerate(items)))
    assert await asyncio.gather(*(values.load(each.location) for each in stored)) == items


# What is refused --------------------------------------------------------------------------------------------


async def test_a_value_over_the_limit_is_refused(run_store):
    """With the asset, the size, the limit and a remedy, and nothing is kept."""
    values = Recorded(PostgresIO(limit=1000), run_store)
    assert (await values.store(target(), bytes(1000))).size == 1000
    with pytest.raises(
        IOManagerError,
        match=r"^Cannot store asset 'orders\[k\]': encoded, it has 1,001 bytes.* takes 1,000; .*FileIO.*\.$",
    ):
        await values.store(target("k"), bytes(1001))


async def test_the_limit_is_64_mib():
    """Unless a smaller one is given."""
    values = PostgresIO().attach(MemoryStore())
    with pytest.raises(IOManagerError, match=r"67,108,865 bytes.*67,108,864"):
        await values.store(target(), bytes(MAX_SIZE + 1))
    for limit in (0, -1, MAX_SIZE + 1):
        with pytest.raises(ValueError, match=r"limit is .*FileIO"):
            PostgresIO(limit=limit)


async def test_a_value_that_no_codec_takes_is_refused():
    """With the type and a remedy, as by FileIO; nothing is pickled unasked."""
    values = PostgresIO().attach(MemoryStore())
    with pytest.raises(IOManagerError, match=r"^Cannot store asset 'orders': .*of type object.*pickle"):
        await values.store(target(), object())
    with pytest.raises(ValueError, match=r"no codec 'yaml'"):
        PostgresIO("yaml")


async def test_pickle_is_loaded_only_by_who_asked_for_it(run_store):
    """A pickle is refused, unopened, by every PostgresIO that was not built for pickles."""
    trusting = Recorded(PostgresIO("pickle"), run_store)
    stored = await trusting.store(target(), {1: slice(3)})
    assert await trusting.load(stored.location) == {1: slice(3)}
    with pytest.raises(IOManagerError, match=r'pickle can run any code.*codec="pickle"'):
        await PostgresIO().attach(run_store).load(stored.location)


async def test_damaged_bytes_are_no_value(values, database):
    """Bytes that somebody changed in the database are an error to whoever reads them, never a wrong value."""
    stored = await values.store(target(), {"rows": 3})
    connection = await asyncpg.connect(database)
    await connection.execute("update flowstone.payloads set content = '{\"rows\":4}'")
    await connection.close()
    assert await values.load(stored.location) == {"rows": 3}  # Recorded here just now, and still at hand.
    elsewhere = PostgresStore(database)
    await elsewhere.open()
    with pytest.raises(IOManagerError, match=r"damaged.*materialize the asset again"):
        await PostgresIO().attach(elsewhere).load(stored.location)
    await elsewhere.close()


async def test_a_class_that_is_not_there_is_named(run_store):
    """Loading imports nothing; `models` gives what is missing."""

    @dataclass
    class Local:
        x: int

    stored = await Recorded(PostgresIO(), run_store).store(target(), Local(1))
    with pytest.raises(IOManagerError, match=r"Local is not in this process.*models=\[Local\]"):
        await PostgresIO().attach(run_store).load(stored.location)
    assert await PostgresIO(models=[Local]).attach(run_store).load(stored.location) == Local(1)


# Its store --------------------------------------------------------------------------------------------------


async def test_a_manager_without_a_store_says_so():
    """Only attached does it know where values are."""
    values = PostgresIO()
    location = (await values.attach(MemoryStore()).store(target(), 1)).location
    for call in (
        values.store(target(), 1),
        values.load(location),
        values.exists(location),
        values.delete(location),
    ):
        with pytest.raises(IOManagerError, match=r"knows no run store.*attach\(store\)"):
            await call


async def test_a_store_that_keeps_no_values_is_refused(tmp_path):
    """With the store's name and what to use instead."""
    with pytest.raises(IOManagerError, match=r"a FileStore keeps none: .*postgresql://.*FileIO"):
        PostgresIO().attach(FileStore(tmp_path))


async def test_one_manager_serves_two_stores():
    """Attaching leaves the manager as it was; each attached one finds the values of its own store only."""
    values = PostgresIO()
    one, other = Recorded(values, MemoryStore()), Recorded(values, MemoryStore())
    stored = await one.store(target(), "value")
    assert (await one.exists(stored.location), await other.exists(stored.location)) == (True, False)
    assert await one.load(stored.location) == "value"


def test_repr_names_the_codec_and_an_unusual_limit():
    """The repr says how values are written, and how large they may be where that is not the default."""
    assert repr(PostgresIO("json")) == "PostgresIO(codec='json')"
    assert repr(PostgresIO(limit=10)) == "PostgresIO(codec='auto', limit=10)"


# Threads ----------------------------------------------------------------------------------------------------


class Witness:
    """A codec that notes on which threads it is called."""

    name, suffix = "witness", "witness"

    def __init__(self):
        self.threads = []

    def can_encode(self, value):
        return type(value) is int

    def encode(self, value):
        self.threads.append(threading.current_thread())
        return str(value).encode()

    def decode(self, data):
        self.threads.append(threading.current_thread())
        return int(data)


async def test_a_codec_of_your_own_keeps_off_the_loop(run_store):
    """It may take its time: it is called on threads, even for small values."""
    witness = Witness()
    values = Recorded(PostgresIO(codecs=[witness]), run_store)
    stored = await values.store(target(), 1)
    assert await values.load(stored.location) == 1
    assert len(witness.threads) == 2
    assert threading.main_thread() not in witness.threads


async def test_threads_go_when_it_is_torn_down(root):
    """And come again for a manager that is used again."""
    values = PostgresIO().attach(MemoryStore())
    for _ in range(2):
        assert (await values.store(target(), bytes(100_000))).size == 100_000
        await values.teardown()
        while values._threads.statistics().threads:
            await asyncio.sleep(0)


async def test_file_io_finds_nothing_of_it(values, root):
    """The same location in another manager is another place."""
    stored = await values.store(target(), "value")
    files = FileIO(root)
    assert not await files.exists(stored.location)
    await files.teardown()
