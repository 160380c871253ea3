"""One durable Postgres, nodes on it, most of them behind a wire that can be cut, and a client."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from typing import Self
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import asyncpg

from flowstone import Runtime
from flowstone.store.embedded import EmbeddedServer
from flowstone.store.postgres import PostgresStore
from tests.chaos.clocks import SteppedClock, libfaketime, stepped_programs
from tests.chaos.marks import Ledger
from tests.chaos.mutants import IN_DATABASE, IN_WORKERS
from tests.chaos.pipeline import OPTIONS, io_managers, make
from tests.chaos.proxy import Proxy
from tests.postgres import REAPER

__all__ = ["Node", "World"]

ROOT = Path(__file__).parents[2]


class Node:
    """A node, or its successor after a kill."""

    def __init__(self, url: str, place: Path, number: int, mutant: str | None) -> None:
        self.clock = place / f"clock-{number}"
        self._command = [sys.executable, "-m", "tests.chaos.node", url, str(place), str(self.clock)]
        if mutant in IN_WORKERS:
            self._command.append(str(mutant))
        self._log = place / "log"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it is a node, or when it has ended because the database was away; then it is tried again."""
        while await asyncio.to_thread(self._start) != b"ready\n":
            self.kill()
            await asyncio.sleep(0.2)

    def _start(self) -> bytes:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        return self.process.stdout.readline()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


class World:
    """All of it.

    Args:
        seed: Decides what the nemesis does; when, real processes decide.
        mutant: The planted bug, by name.
    """

    def __init__(self, seed: int, mutant: str | None = None) -> None:
        self.random = Random(seed)
        self.mutant = mutant
        self.place = Path(tempfile.mkdtemp(prefix="flowstone-chaos-"))
        self.place.chmod(0o755)
        self.server = EmbeddedServer(self.place / "pg")
        self.nodes: list[Node] = []
        self.suspended: set[int] = set()  # Processes that may have been taken for dead while they lived.

    async def __aenter__(self) -> Self:
        async with (
            AsyncExitStack() as stack
        ):  # Whatever fails, and whoever interrupts it, the rest is tidied up.
            await self._enter(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _enter(self, stack: AsyncExitStack) -> None:
        stack.callback(shutil.rmtree, self.place, ignore_errors=True)
        reaper = reaper_of(self.place)
        stack.callback(reaper.communicate)
        stack.callback(reaper.kill)
        if (library := libfaketime()) is not None:
            stack.enter_context(patch.dict(os.environ, PG_BINDIR=str(stepped_programs(self.place, library))))
        stack.callback(self.server.stop)
        self.url = await self.server.open()
        stack.callback(self.freeze, signal.SIGCONT)
        self.ledger = Ledger(self.place / "ledger")
        stack.callback(self.ledger.close)
        socket = Path(parse_qs(urlsplit(self.url).query)["host"][0])
        self.proxy = Proxy(socket, self.place / "wire", self.random)
        await self.proxy.open()
        stack.push_async_callback(self.proxy.close)
        self.store = PostgresStore(self.url)
        await self.store.open()
        stack.push_async_callback(self.store.close)
        await self._plant()
        self.client = Runtime(
            make(self.place),
            store=self.url,
            io=io_managers(self.place),
            worker=False,
            clock=SteppedClock(self.place / "clock-client"),
            **OPTIONS,
        )
        await stack.enter_async_context(self.client)
        wire = self.url.replace(str(socket), str(self.proxy.place))
        self.nodes = [
            Node(url, self.place, number, self.mutant) for number, url in enumerate((wire, wire, self.url))
        ]
        for node in self.nodes:
            stack.callback(node.kill)
        await asyncio.gather(*(node.start() for node in self.nodes))

    async def _plant(self) -> None:
        connection = await asyncpg.connect(self.url)
        text = await connection.fetchval(
            "select pg_get_functiondef(oid) from pg_proc where proname = 'record' "
            "and pronamespace = 'flowstone'::regnamespace"
        )
        for old, new in IN_DATABASE.get(self.mutant or "", ()):
            assert old in text, f"there is no {old!r} to take away"
            text = text.replace(old, new)
        await connection.execute(text)
        await connection.close()

    async def ask(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Ask the database directly."""
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    # What a nemesis needs ------------------------------------------------------------------------------------

    @property
    def postmaster(self) -> int:
        return int((self.place / "pg/data/postmaster.pid").read_text().split()[0])

    def suspend(self, *nodes: Node) -> None:
        """These nodes, or all, hear and say nothing for a while."""
        self.suspended.update(node.pid for node in nodes or self.nodes if node.process is not None)

    def freeze(self, number: int) -> None:
        """Send a signal to the server and all its processes."""
        with suppress(OSError, ValueError, IndexError):
            postmaster = self.postmaster
            for pid in (postmaster, *children(postmaster)):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    async def restart_server(self) -> None:
        """Nobody else would do it: nodes use a plain URL."""
        await self.server.open()


def reaper_of(place: Path) -> subprocess.Popen[bytes]:
    """Ends the server and removes the directory, should this process be killed."""
    return subprocess.Popen(
        ["/bin/sh", "-c", REAPER, "sh", place],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def children(parent: int) -> list[int]:
    """Processes that this one has started."""
    found = []
    for each in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            if int((each / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(each.name))
    return found
