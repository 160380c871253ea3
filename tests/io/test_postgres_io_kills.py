"""kill -9 at random instants: every recorded success has its value, and no value is without a record."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import asyncpg

from flowstone.io import PostgresIO
from flowstone.store.postgres import PostgresStore
from tests.io.test_postgres_io_runtime import UNPAIRED

KILLS = 8
ROOT = Path(__file__).parents[2]

# Values below and above every threshold. A line says what was acknowledged, and only then; a short line is
# written to a pipe whole.
PROGRAM = """
import asyncio, hashlib, os, sys
from flowstone import Pipeline, Runtime

SIZES = [1, 1_000, 70_000, 1_100_000]
pipeline = Pipeline("killed")

@pipeline.asset
async def blob(context) -> bytes:
    seed = f"{context.run_id} {context.partition}".encode()
    return (hashlib.sha256(seed).digest() * 40_000)[: SIZES[context.partition % len(SIZES)]]

def tell(*words):
    os.write(1, (" ".join(words) + "\\n").encode())

async def writer(runtime, number):
    while True:
        record = await runtime.materialize("blob", partition=number)
        tell(record.run_id, record.location, record.data_version)
        number += 8

async def main(dsn):
    async with Runtime(pipeline, store=dsn, worker=False) as runtime:
        tell("open")
        await asyncio.gather(*(writer(runtime, number) for number in range(8)))

asyncio.run(main(sys.argv[1]))
"""


def live_and_be_killed(dsn: str, lines: int) -> list[list[str]]:
    """Let a process materialize until it has told so many lines, then kill it; returns its ledger."""
    command = [sys.executable, "-c", PROGRAM, dsn]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        ledger = [process.stdout.readline() for _ in range(1 + lines)]
        process.kill()
        ledger += process.stdout
    assert ledger[0] == b"open\n"
    return [line.decode().split() for line in ledger[1:]]


async def test_kill_9_leaves_no_value_alone(database):
    """Many processes live and die on one database; each one's own ledger, and all else recorded, can be loaded."""
    chance = random.Random(20250115)
    connection = await asyncpg.connect(database)
    store = PostgresStore(database)
    await store.open()
    values = PostgresIO().attach(store)
    for _ in range(KILLS):
        ledger = await asyncio.to_thread(live_and_be_killed, database, chance.randrange(40))
        orphans, missing, count = await connection.fetchrow(UNPAIRED)
        assert (orphans, missing) == (0, 0)
        assert count >= len(ledger)
        for run_id, location, digest in ledger:
            [record] = await store.steps(run_id)
            assert (record.location, record.data_version) == (location, digest)
            assert len(await values.load(location)) == record.size
    await store.close()
    await connection.close()
