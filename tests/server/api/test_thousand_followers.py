"""What it costs that many follow what happens: over real connections, by the memory of the process."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
from pathlib import Path

import pytest

from flowstone import Runtime
from flowstone.server import create_app
from tests.server.api.shops import shop

FOLLOWERS = 1_000
MOST = 100  # Megabytes.

CLIENT = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
ASK = b"GET /api/v1/events HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n"
async def follow():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    writer.write(ASK)
    while line := await reader.readline():
        if line.startswith(b"event: run.succeeded"):
            return 1
    return 0
async def main():
    tasks = []
    for number in range(int(sys.argv[2])):
        tasks.append(asyncio.create_task(follow()))
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    print(sum(await asyncio.gather(*tasks)))
asyncio.run(main())
"""


def megabytes() -> float:
    """What this process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_000_000


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
async def test_a_thousand_follow_within_a_hundred_megabytes():
    """And each is told what happens."""
    import uvicorn

    resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    async with Runtime(shop()) as runtime:
        app = create_app(runtime)
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]

        async def followed(number: int) -> tuple[float, int]:
            """The memory while so many follow, and how many were told."""
            clients = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, str(port), str(number), stdout=asyncio.subprocess.PIPE
            )
            while app.state.event_feed.following < number:
                await asyncio.sleep(0.05)
            held = megabytes()
            await runtime.materialize("visits", partition="2025-01-03")
            told, _ = await clients.communicate()
            while app.state.event_feed.following:
                await asyncio.sleep(0.05)
            return held, int(told)

        idle, _ = await followed(1)
        held, told = await followed(FOLLOWERS)
        assert told == FOLLOWERS
        assert held - idle < MOST
        server.should_exit = True
        await serving
