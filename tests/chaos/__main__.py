"""Chaos at length: `python -m tests.chaos --minutes 10 [--seed 1]`.

With `--files` it is done to the files of a `file://` store instead of to a Postgres and its nodes. With `--mutants`
it is shown planted bugs, one after the other, and has to find them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from random import Random

from tests.chaos.file_items import item_round
from tests.chaos.files import FILE_FAULTS, FileReport, file_round
from tests.chaos.mutants import MUTANTS
from tests.chaos.nemesis import FAULTS, LONG
from tests.chaos.rounds import Report, one_round
from tests.chaos.world import World

LONG_EVERY = 12  # Rounds.


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long; default 1")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of what goes wrong; default: the time"
    )
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument(
        "--mutants", action="store_true", help="plant each bug in turn, for so many minutes each"
    )
    parser.add_argument("--files", action="store_true", help="damage the files of a file:// store")
    parser.add_argument("--mutant", choices=MUTANTS, help="plant this bug")
    return parser.parse_args()


async def chaos(seed: int, minutes: float, faults: list[str], mutant: str | None = None) -> Report:
    """Round after round, until the time is over or something is broken."""
    report, ends, random = Report(), time.monotonic() + minutes * 60, Random(seed)
    async with World(seed, mutant) as world:
        while time.monotonic() < ends and not report.broken:
            chosen = [random.choice(faults) for _ in range(random.randint(3, 6))]
            if report.rounds % LONG_EVERY == LONG_EVERY - 1:
                chosen += LONG
            await one_round(world, report, chosen)
            print(f"round {report.rounds} ({', '.join(chosen)}): {report.steps} steps", file=sys.stderr)
    return report


async def file_chaos(seed: int, minutes: float) -> FileReport:
    """Each fault in turn, until the time is over or something is broken."""
    report, ends, random = FileReport(), time.monotonic() + minutes * 60, Random(seed)
    while time.monotonic() < ends and not report.broken:
        for fault in FILE_FAULTS:
            await file_round(report, random, fault)
        await item_round(report, random)
    return report


def show_files(report: FileReport, seed: int) -> None:
    """Print the figures."""
    for name, count in report.faults.items():
        print(f"{name:45} {count:5}")
    print(f"{'runs acknowledged / lost':45} {report.acknowledged:5} / {report.lost}")
    print(f"{'items recorded':45} {report.items:5}")
    print(f"{'acknowledged though begun after the damage':45} {report.late:5}")
    for sentence in report.broken[:20]:
        print("BROKEN:", sentence)
    print("seed", seed)


def show(report: Report, seed: int) -> None:
    """Print the figures."""
    for name, count in report.faults.items():
        print(f"{name:45} {count:5}")
    print(f"{'rounds':45} {report.rounds:5}")
    print(f"{'submits acknowledged / lost':45} {report.acknowledged:5} / {report.lost}")
    print(f"{'submits refused while the store was away':45} {report.refused:5}")
    print(f"{'steps recorded / doubled':45} {report.steps:5} / {report.doubled}")
    print(f"{'approvals decided':45} {report.decided:5}")
    print(f"{'items recorded':45} {report.items:5}")
    print(f"{'processes that shared the items of a step':45} {report.item_nodes:5}")
    print(f"{'choices of routes':45} {report.choices:5}")
    print(f"{'short runs, submitted and mostly cancelled':45} {report.short:5}")
    print(f"{'deadlocks logged':45} {report.deadlocks:5}")
    print(f"{'executions':45} {report.executions:5}")
    print(f"{'longest from last fault to last run ended':45} {report.longest:5.1f} s")
    for sentence in report.broken[:20]:
        print("BROKEN:", sentence)
    print("seed", seed)


def main() -> int:
    """The exit status says whether what was to be found was found."""
    options = arguments()
    if options.files:
        damaged = asyncio.run(file_chaos(options.seed, options.minutes))
        show_files(damaged, options.seed)
        return bool(damaged.broken)
    if not options.mutants:
        report = asyncio.run(chaos(options.seed, options.minutes, options.faults, options.mutant))
        show(report, options.seed)
        return bool(report.broken)
    missed = 0
    for mutant in MUTANTS:
        report = asyncio.run(chaos(options.seed, options.minutes, options.faults, mutant))
        missed += not report.broken
        told = f"found in round {report.rounds}: {report.broken[0]}" if report.broken else "NOT FOUND"
        print(f"{mutant}: {told}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
