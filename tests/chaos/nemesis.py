"""What goes wrong: each fault is done at a random instant, and undone."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

import asyncpg

from tests.chaos.clocks import database_offset, libfaketime, step
from tests.chaos.pipeline import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from tests.chaos.world import World

__all__ = ["FAULTS", "LONG"]

LEASE: float = OPTIONS["lease"]


async def kill_node(world: World) -> None:
    """One node is killed; another process takes its place."""
    node = world.random.choice(world.nodes)
    node.kill()
    await asyncio.sleep(world.random.uniform(0, 2))
    await node.start()


async def freeze_node(world: World) -> None:
    """SIGSTOP of a node beyond its lease: it wakes up as a zombie."""
    node = world.random.choice(world.nodes)
    world.suspend(node)
    node.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(LEASE * world.random.uniform(1.2, 2.5))
    finally:
        node.send(signal.SIGCONT)


async def kill_server(world: World) -> None:
    """The postmaster is killed; its server is started again, as nobody else would do."""
    world.suspend()
    os.kill(world.postmaster, signal.SIGKILL)
    await asyncio.sleep(world.random.uniform(0, 1))
    await world.restart_server()


async def end_connections(world: World) -> None:
    """Some connections are terminated by the server, whoever's they are."""
    with suppress(asyncpg.PostgresError, OSError):
        await world.ask(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
            "and datname = current_database() and random() < $1",
            world.random.uniform(0.3, 1),
        )


async def cut_wires(world: World) -> None:
    """For a while, connections of some nodes are cut at random bytes: of statements, of answers, of commits."""
    world.suspend()
    world.proxy.cutting = True
    try:
        await asyncio.sleep(world.random.uniform(0.5, 2))
    finally:
        world.proxy.cutting = False


async def dead_wires(world: World) -> None:
    """The connections of some nodes go dead without a word, beyond their lease."""
    world.suspend()
    world.proxy.hold()
    try:
        await asyncio.sleep(LEASE * world.random.uniform(1.2, 3))
    finally:
        world.proxy.let_go()


async def freeze_server(world: World) -> None:
    """The database does not answer, beyond everybody's lease."""
    await outage(world, LEASE * world.random.uniform(1.2, 3))


async def long_outage(world: World) -> None:
    """The database does not answer for half a minute."""
    await outage(world, 30)


async def outage(world: World, seconds: float) -> None:
    world.suspend()
    world.freeze(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        world.freeze(signal.SIGCONT)


async def step_node_clock(world: World) -> None:
    """The wall clock of one node is off for a while, by half a minute or by an hour."""
    await _off(world, world.random.choice(world.nodes).clock)


async def step_database_clock(world: World) -> None:
    """The wall clock of the database is off for a while, by half a minute or by an hour."""
    await _off(world, database_offset(world.place))


async def _off(world: World, clock: Path) -> None:
    step(clock, world.random.choice((-3600, -30, 30, 3600)))
    try:
        await asyncio.sleep(LEASE * world.random.uniform(0.2, 2))
    finally:
        step(clock, 0)


FAULTS: Mapping[str, Callable[[World], Awaitable[None]]] = MappingProxyType(
    {
        "kill -9 of a node": kill_node,
        "SIGSTOP of a node past its lease": freeze_node,
        "kill -9 of the postmaster": kill_server,
        "terminated backends": end_connections,
        "connections cut at random bytes": cut_wires,
        "connections dead past the lease": dead_wires,
        "database silent past the lease": freeze_server,
        "step of a node's clock": step_node_clock,
    }
    | ({} if libfaketime() is None else {"step of the database's clock": step_database_clock})
)
LONG: Mapping[str, Callable[[World], Awaitable[None]]] = MappingProxyType(
    {"database silent for 30 s": long_outage}
)
"""What takes too long to be tried often."""
