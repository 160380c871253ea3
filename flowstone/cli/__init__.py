"""The command line.

    app.py         the list of commands: read it first
    commands/      one command a file: its arguments, what it asks, how it shows the answer
    loading.py     MODULE:PIPELINE -> a pipeline, with the IO managers and resources defined beside it
    session.py     a runtime for one command: store, values, event loop, interruption
    serving/       a node that lives until it is told to stop: signals, time limits, a line for each thing it does
    progress/      how far a run is: counting, the live display, plain lines
    screen.py      where output goes: results on stdout, everything else on stderr, errors as one sentence
    demo/          `flowstone demo`: real data, an example pipeline and its picture

Nothing below is imported before `main()` runs: `import flowstone` stays free of typer and rich.
"""

from __future__ import annotations

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names and exit with its status.

    The status is 0 if all succeeded, 1 if something failed, 2 for wrong usage, 75 if what was
    asked for waits or had to be ended by force, 130 if interrupted, 141 if nobody reads the output.
    """
    from flowstone.cli.app import app  # noqa: PLC0415 - typer and rich load only when a command runs

    try:
        app(prog_name="flowstone")
    except SystemExit as end:
        if end.code == 130:
            # Whoever presses Ctrl-C once more while the interpreter winds down gets no traceback for it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise
