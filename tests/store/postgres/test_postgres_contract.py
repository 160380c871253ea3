"""The contract of every store, for the Postgres store."""

from __future__ import annotations

import asyncpg
import pytest

from flowstone.store.postgres import PostgresStore
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
from tests.store.waits_contract import WaitsContract, now, waiting_run


class PostgresPlace:
    """A database; each reopening connects to it with a new store object."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.store = PostgresStore(dsn)

    async def reopen(self):
        await self.store.close()
        self.store = PostgresStore(self.dsn)
        await self.store.open()
        return self.store


class TestPostgresStore(
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
    """The Postgres store keeps the contract."""

    @pytest.fixture
    async def place(self, database):
        place = PostgresPlace(database)
        await place.store.open()
        yield place
        await place.store.close()

    async def test_the_clock_of_the_database_does_not_say_which_approval_is_newest(self, place):
        """One that is set back while they are asked for changes no order."""
        for number in range(3):
            await waiting_run(place.store, f"run-{number}", kind="approval")
        connection = await asyncpg.connect(place.dsn)
        await connection.execute(
            "update flowstone.waits set asked_at = now() - make_interval(days => arrival::integer)"
        )
        await connection.close()
        found = await place.store.waits.approvals(now=now())
        assert [wait.run_id for wait in found] == ["run-2", "run-1", "run-0"]
        assert await place.store.waits.approvals(["open"], now=now(), before=found[0]) == found[1:]
        assert await place.store.waits.open(now=now()) == found
