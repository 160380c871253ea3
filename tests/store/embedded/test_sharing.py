"""The first user starts the server, the others join, the last one stops it; and it keeps to its directory."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest

from flowstone.store.embedded import EmbeddedServer
from flowstone.store.embedded import server as module
from flowstone.store.embedded.postmaster import Postmaster
from flowstone.store.embedded.wait_limit import WaitLimit
from tests.store.embedded.users import query, running


async def test_a_new_directory_becomes_a_database_and_remembers(place):
    """What is written is there after the server was stopped and started again."""
    server = EmbeddedServer(place / "a" / "new" / "one")
    dsn = server.start()
    await query(dsn, "CREATE TABLE shop AS SELECT 7 AS id")
    server.stop()
    assert running(place / "a" / "new" / "one") is None
    assert await query(server.start(), "SELECT id FROM shop") == 7
    server.stop()


async def test_it_is_durable_unless_asked_otherwise(directory):
    """It syncs to the disk by default, and options are settings of the server that is started with them."""
    server = EmbeddedServer(directory)
    assert await query(server.start(), "SHOW fsync") == "on"
    server.stop()
    server = EmbeddedServer(directory, options={"fsync": "off", "work_mem": "7MB", "listen_addresses": "*"})
    dsn = server.start()
    assert await query(dsn, "SHOW fsync") == "off"
    assert await query(dsn, "SHOW work_mem") == "7MB"
    assert await query(dsn, "SHOW listen_addresses") == ""
    server.stop()


def test_users_of_one_process_count_one_by_one(directory):
    """Two objects are two users, however often each starts or stops."""
    first, second = EmbeddedServer(directory), EmbeddedServer(directory)
    assert first.start() == first.start() == second.start()
    first.stop()
    first.stop()
    assert running(directory)
    second.stop()
    assert running(directory) is None


async def test_users_in_many_processes_share_one_server(directory, use):
    """Processes get one URL; the server runs until the last of them stops, whoever started it."""
    users = [use(directory) for _ in range(3)]
    assert len({user.answer() for user in users}) == 1
    pid = running(directory)
    for user in users:
        assert running(directory) == pid is not None
        user.stop()
    assert running(directory) is None


async def test_five_processes_race_for_a_new_directory(place, use):
    """Exactly one of them sets it up, and all of them can use it."""
    users = [use(place / "pg") for _ in range(5)]
    dsns = {user.answer() for user in users}
    assert len(dsns) == 1
    assert await query(dsns.pop(), "SELECT 1") == 1
    for user in users:
        user.stop()
    assert running(place / "pg") is None
    assert (place / "pg" / "server.log").read_text().count("listening on Unix socket") == 1


def test_coming_and_going_never_meets_a_server_that_stops(directory, use):
    """Users that come while the last one leaves wait, and start it again."""
    for _ in range(5):
        leaving, coming = EmbeddedServer(directory), EmbeddedServer(directory)
        leaving.start()
        going = asyncio.run(both(leaving, coming))
        assert going.startswith("postgresql://")
        assert running(directory)
        coming.stop()


async def both(leaving: EmbeddedServer, coming: EmbeddedServer) -> str:
    _, dsn = await asyncio.gather(leaving.close(), coming.open())
    return dsn


async def test_coroutines_open_and_close(directory):
    """`open` and `close` are `start` and `stop` off the loop."""
    server = EmbeddedServer(directory)
    assert await query(await server.open(), "SELECT 1") == 1
    await server.close()
    await server.close()
    assert running(directory) is None


async def test_a_cancelled_open_leaves_no_server(directory):
    """Whenever it is cancelled, the server is stopped by the time the cancelled call ends."""
    for turns in (1, 2, 40):
        server = EmbeddedServer(directory)
        opening = asyncio.create_task(server.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening
            await server.close()
        assert running(directory) is None


async def test_an_open_cancelled_while_the_server_starts_stops_it(directory):
    """The server that it has begun to start is gone when the cancelled call ends."""
    opening = asyncio.create_task(EmbeddedServer(directory).open())
    while Postmaster.of(directory / "data") is None:
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert running(directory) is None


async def test_a_cancelled_open_stops_waiting_for_others(directory):
    """A start that waits for another process is abandoned, not waited out."""
    patience = Event()
    with EmbeddedServer(directory)._alone(module.account_for(directory / "data"), WaitLimit(5, patience)):
        opening = asyncio.create_task(EmbeddedServer(directory).open())
        for _ in range(5):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    assert running(directory) is None


async def test_a_cancelled_open_does_not_stop_a_server_in_use(directory):
    """To look again whether it runs, and to be cancelled at that, changes nothing for a user."""
    server = EmbeddedServer(directory)
    await server.open()
    again = asyncio.create_task(server.open())
    await asyncio.sleep(0)
    again.cancel()
    with pytest.raises(asyncio.CancelledError):
        await again
    assert running(directory)
    await server.close()
    assert running(directory) is None


async def test_a_cancelled_close_closes(directory):
    """The server is stopped by the time the cancelled call ends."""
    server = EmbeddedServer(directory)
    await server.open()
    closing = asyncio.create_task(server.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert running(directory) is None


def test_a_directory_removed_in_use_is_no_reason_to_hang(directory):
    """Whoever moves the directory of a running server is told so by `stop`, and the reaper does the rest."""
    server = EmbeddedServer(directory)
    server.start()
    hidden = directory.rename(directory.with_name("elsewhere"))
    with pytest.raises(module.StoreUnavailable, match=r"start\.lock"):
        server.stop()
    server.stop()
    assert WaitLimit(200).until(lambda: running(hidden) is None)
    hidden.rename(directory)
    server.start()
    server.stop()
    assert running(directory) is None


def seen(place: Path, *but: Path) -> dict[str, tuple[int, int, int]]:
    """The names, modes and owners below a place."""
    found: dict[str, tuple[int, int, int]] = {}
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if Path(folder, name) not in but]
        for path in (Path(folder, name) for name in [".", *folders, *names]):
            status = path.lstat()
            found[str(path)] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    return found


def test_it_leaves_no_trace_outside_of_its_directory(place, use):
    """Home, temporary and runtime directory, parents and accounts are as they were: running, killed or stopped."""
    for name in ("home", "tmp", "run", "deep"):
        (place / name).mkdir(mode=0o755)
    env = {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp"), "XDG_RUNTIME_DIR": str(place / "run")}
    accounts = Path("/etc/passwd").read_bytes()
    directory = place / "deep" / "pg"
    before = seen(place, directory)
    killed = use(directory, env=env)
    assert killed.answer().startswith("postgresql://")
    assert seen(place, directory) == before
    killed.kill()
    last = use(directory, env=env)
    last.answer()
    last.stop()
    assert seen(place, directory) == before
    assert Path("/etc/passwd").read_bytes() == accounts
    assert sorted(path.name for path in directory.iterdir()) == [
        "data",
        "presence.lock",
        "reaper.lock",
        "server.lock",
        "server.log",
        "start.lock",
        "users.lock",
    ]
