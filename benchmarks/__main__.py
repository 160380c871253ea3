"""`python -m benchmarks core` (or `durable`): runs each benchmark in a process of its own and prints the table."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.util import find_spec

from benchmarks import core, durable, pages
from benchmarks.figure import Figure
from benchmarks.report import Row, as_json, as_markdown, as_table

SUITES = {"core": core, "durable": durable, "pages": pages}
LOOPS = ("asyncio", "uvloop") if find_spec("uvloop") else ("asyncio",)  # there is no uvloop on Windows


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "suite",
        choices=SUITES,
        help="core: everything in memory; durable: on Postgres; pages: what people look at",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of them; default all")
    parser.add_argument("--loop", choices=[*LOOPS, "both"], default="both", help="event loop; default both")
    parser.add_argument("--quick", action="store_true", help="small sizes: that it runs, not its figures")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    form.add_argument("--markdown", action="store_true", help="the table as Markdown")
    options = parser.parse_args()
    known = SUITES[options.suite].BENCHMARKS
    options.only = options.only or known
    if unknown := set(options.only) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; {options.suite} has {', '.join(known)}")
    return options


def measured(name: str, loop: str, *, quick: bool) -> list[Row]:
    """The figures of one benchmark, taken by a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.worker", name, loop, *(["--quick"] if quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"The benchmark {name} failed on {loop}:\n{done.stderr}")
    return [Row(loop, Figure(**figure)) for figure in json.loads(done.stdout)]


def main() -> None:
    """Measure what was asked for; the table appears when all is done, progress on stderr before."""
    options = arguments()
    loops = LOOPS if options.loop == "both" else (options.loop,)
    rows: list[Row] = []
    for name in options.only:
        for loop in ("-",) if name in SUITES[options.suite].LOOPLESS else loops:
            print(f"measuring {name} ({loop}) …", file=sys.stderr)
            rows += measured(f"{options.suite}.{name}", loop, quick=options.quick)
    if options.json:
        print(as_json(rows))
    elif options.markdown:
        print(as_markdown(rows, judged=not options.quick))
    else:
        as_table(rows, judged=not options.quick)


if __name__ == "__main__":
    main()
