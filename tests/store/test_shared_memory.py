"""The contract of every cluster, for the double that tests of the runtime use."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from flowstone.testing.clock import VirtualClock
from tests.store.audit_contract import AuditContract
from tests.store.automations_contract import AutomationsContract
from tests.store.callers_contract import CallersContract
from tests.store.cluster_contract import LEASE, ClusterContract
from tests.store.contract import StoreContract
from tests.store.deliveries_contract import DeliveriesContract
from tests.store.items_contract import ItemsContract
from tests.store.pools_contract import PoolsContract
from tests.store.rates_contract import RatesContract
from tests.store.shared_memory import SharedMemory
from tests.store.waits_contract import WaitsContract


class SharedMemoryPlace:
    """A database in memory; its time is virtual."""

    def __init__(self):
        self.shared = SharedMemory(VirtualClock(datetime.now(UTC) + timedelta(seconds=30)))
        self.store = self.shared.connect()

    async def reopen(self):
        await self.store.close()
        self.store = self.shared.connect()
        return self.store

    async def connect(self):
        return self.shared.connect()

    async def silence(self, node_id):
        self._of(node_id)._stop_beating()

    async def beat(self, node_id, *, late=False):
        if late:
            self.shared.nodes[node_id].beaten -= 2 * LEASE
        self._of(node_id)._beat()

    async def step(self, seconds):
        self.shared.ahead += seconds

    async def until(self, condition):
        for _ in range(20):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it did not become so")

    def _of(self, node_id):
        return next(store for store in self.shared.connections if store.node == node_id)


class TestSharedMemory(
    AuditContract,
    AutomationsContract,
    CallersContract,
    ClusterContract,
    DeliveriesContract,
    ItemsContract,
    PoolsContract,
    RatesContract,
    StoreContract,
    WaitsContract,
):
    """The double keeps all contracts."""

    @pytest.fixture
    async def place(self):
        place = SharedMemoryPlace()
        await place.store.open()
        yield place
        for store in place.shared.connections:
            await store.close()
