"""The contract of every store, for the memory store and the file store."""

from __future__ import annotations

import pytest

from flowstone.store import FileStore, MemoryStore
from flowstone.store import file as file_module
from tests.store.audit_contract import AuditContract
from tests.store.automations_contract import AutomationsContract
from tests.store.callers_contract import CallersContract
from tests.store.contract import StoreContract
from tests.store.deliveries_contract import DeliveriesContract
from tests.store.feed_contract import FeedContract
from tests.store.items_contract import ItemsContract
from tests.store.lifecycle_contract import LifecycleContract
from tests.store.logs_contract import LogsContract
from tests.store.tokens_contract import TokensContract
from tests.store.waits_contract import WaitsContract


class MemoryPlace:
    """A memory store is its own place: it outlives being closed."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    async def reopen(self):
        await self.store.close()
        await self.store.open()
        return self.store


class FilePlace:
    """A directory; each reopening reads it with a new store object."""

    def __init__(self, directory) -> None:
        self.directory = directory
        self.store = FileStore(directory)

    async def reopen(self):
        await self.store.close()
        self.store = FileStore(self.directory)
        await self.store.open()
        return self.store


class CompactingPlace(FilePlace):
    """As `FilePlace`, and what is read is always what compaction made of it."""

    async def reopen(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(file_module, "_FEW", -1)
            patch.setattr(file_module, "_MUCH", 0)
            await super().reopen()
        return await super().reopen()


class TestMemoryStore(
    AuditContract,
    AutomationsContract,
    CallersContract,
    DeliveriesContract,
    FeedContract,
    ItemsContract,
    LifecycleContract,
    LogsContract,
    TokensContract,
    WaitsContract,
    StoreContract,
):
    """The memory store keeps the contract."""

    @pytest.fixture
    async def place(self):
        place = MemoryPlace()
        await place.store.open()
        yield place
        await place.store.close()


class TestFileStore(
    AuditContract,
    AutomationsContract,
    CallersContract,
    DeliveriesContract,
    FeedContract,
    ItemsContract,
    LifecycleContract,
    LogsContract,
    TokensContract,
    WaitsContract,
    StoreContract,
):
    """The file store keeps the contract, compacted or not."""

    keeps_payloads = False

    @pytest.fixture(params=[FilePlace, CompactingPlace])
    async def place(self, tmp_path, request):
        place = request.param(tmp_path / "runs")
        await place.store.open()
        yield place
        await place.store.close()
