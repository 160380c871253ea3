"""Behind a pooler in transaction mode everything works, with looking instead of listening."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from flowstone.store.cluster import Notification
from flowstone.store.postgres import PostgresStore
from tests.store.cluster_contract import Heard, node, nothing
from tests.store.contract import StoreContract
from tests.store.facts import end, run
from tests.store.postgres.test_postgres_contract import PostgresPlace

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

CONFIGURATION = """[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {place}
auth_type = trust
auth_file = {place}/users
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
logfile = {place}/log
"""

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")


@pytest.fixture(scope="module")
def pooler(postgres_server):
    """The directory of pgbouncer's socket; it has two connections for everybody, per database."""
    user = pwd.getpwuid(Path(postgres_server.directory, "data").stat().st_uid)
    place = Path(tempfile.mkdtemp(prefix="flowstone-pgbouncer-"))
    _, _, rest = postgres_server.dsn.rpartition("@/")[2].partition("?")
    options = dict(option.split("=") for option in rest.split("&"))
    (place / "users").write_text('"postgres" ""\n')
    (place / "ini").write_text(
        CONFIGURATION.format(host=options["host"], port=options.get("port", 5432), place=place)
    )
    for path in (place, *place.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    bouncer = subprocess.Popen(
        [PGBOUNCER, "-q", place / "ini"],
        user=user.pw_uid if os.geteuid() == 0 else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(place / ".s.PGSQL.6432")
        yield place
    finally:
        bouncer.terminate()
        bouncer.wait()
        shutil.rmtree(place, ignore_errors=True)


def wait_for(path) -> None:
    """Return when somebody answers at a socket."""
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                assert time.monotonic() < deadline, "pgbouncer does not start"
                time.sleep(0.01)
            else:
                return


@pytest.fixture
async def pooled(database, pooler):
    """The URL of the database through the pooler."""
    name = database.rpartition("@/")[2].partition("?")[0]
    return f"postgresql://postgres@/{name}?host={pooler}&port=6432"


@pytest.mark.long
class TestPooledStore(StoreContract):
    """The store behind a pooler keeps the contract."""

    @pytest.fixture
    async def place(self, pooled):
        place = PostgresPlace(pooled)
        await place.store.open()
        yield place
        await place.store.close()


async def test_a_pooler_is_recognised(pooled, database):
    """Its process id is made up; then nothing may outlast a transaction."""
    behind, direct = PostgresStore(pooled), PostgresStore(database)
    await behind.open()
    await direct.open()
    assert not behind.cluster.listens
    assert direct.cluster.listens
    await behind.close()
    await direct.close()


async def test_a_diagnosis_through_a_pooler(pooled):
    """It is told that a pooler stands between, and everything else as well."""
    store = PostgresStore(pooled)
    await store.migrate()
    facts = await store.diagnose()
    assert facts.pooled
    assert facts.schema == facts.latest
    assert list(facts.waiting) == []
    assert abs(facts.clock_skew) < 1 + facts.uncertainty


async def test_a_node_behind_a_pooler_looks(pooled):
    """It joins, beats, takes runs and hears `look`, and no notification."""
    store = PostgresStore(pooled)
    await store.open()
    cluster = store.cluster
    heard = Heard()
    looked = asyncio.Event()

    def hear(notification) -> None:
        heard.notifications.append(notification)
        looked.set()

    await cluster.join(node("n1"), nothing)
    with cluster.watch(hear):
        await cluster.submit(run())
        looked.clear()
        async with asyncio.timeout(200):
            await looked.wait()
        (taken,) = await cluster.take("n1", ["sales"], 5)
    assert taken.owner == "n1"
    assert set(heard.notifications) == {Notification("look")}
    await cluster.leave("n1")
    await store.close()


async def test_two_connections_serve_many_writers(pooled):
    """More writers and readers than the pooler has connections."""
    store = PostgresStore(pooled)
    await store.open()
    await store.create_run(run())

    async def one(number: int) -> None:
        await store.write(end("a", str(number)))
        assert (await store.current([("a", str(number))]))["a", str(number)].run_id == "run-1"

    await asyncio.gather(*(one(number) for number in range(200)))
    assert (await store.run("run-1")).counts == {"succeeded": 200}
    await store.close()
