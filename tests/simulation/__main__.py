"""Several nodes of the real runtime on one database, with faults, under virtual time.

uv run python -m tests.simulation --seeds 0:2000        so many worlds; prints the story of each that fails
uv run python -m tests.simulation --minutes 5           as many as there are in five minutes
uv run python -m tests.simulation --seed 17             one again, with its digest, which is the same each time
uv run python -m tests.simulation --planted wall-clock  until a planted bug is found
"""

from __future__ import annotations

import argparse
import sys
from itertools import count

from tests.simulation.many import many
from tests.simulation.planted import BUGS, planted
from tests.simulation.world import live


def main():
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--seeds", help="FIRST:END; default: all, as long as the minutes last")
    parser.add_argument("--seed", type=int, help="one seed, with its digest")
    parser.add_argument("--minutes", type=float, help="how long; default: 5 where no seeds are given")
    parser.add_argument("--processes", type=int, help="default: one for each core")
    parser.add_argument("--planted", choices=sorted(BUGS), help="with this bug, until it is found")
    given = parser.parse_args()
    if given.seed is not None:
        with planted(given.planted):
            outcome = live(given.seed, trace=True)
        print(
            outcome.story
            or f"seed {outcome.seed}: {outcome.steps:,} steps, {outcome.seconds:.0f} virtual seconds"
        )
        print(f"digest {outcome.digest:08x}")
        return 1 if outcome.failure else 0
    minutes = given.minutes
    if given.seeds:
        first, _, end = given.seeds.partition(":")
        seeds = range(int(first), int(end))
    elif given.planted:
        seeds = range(BUGS[given.planted][1])
    else:
        seeds, minutes = count(), minutes or 5.0
    enough = 1 if given.planted else None
    total = many(seeds, bug=given.planted, processes=given.processes, minutes=minutes, enough=enough)
    print(total)
    return int(bool(total.failed) != bool(given.planted))  # What is planted has to be found.


if __name__ == "__main__":
    sys.exit(main())
