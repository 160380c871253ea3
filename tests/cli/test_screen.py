"""Where output goes, and what an error looks like."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import pytest
import typer
from rich.table import Table

from flowstone.cli.problem import CommandError, describe
from flowstone.cli.screen import Screen
from flowstone.errors import (
    AssetNotFound,
    CycleError,
    DependencyNotReady,
    IOManagerError,
    PartitionError,
    RunNotFound,
    StoreUnavailable,
)


def status_of(error, *, json=False, debug=False):
    """The exit status of a command whose body raises `error`."""
    with pytest.raises(typer.Exit) as caught, Screen(json=json, debug=debug):
        raise error
    return caught.value.exit_code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AssetNotFound("No asset 'x'."), 2),
        (PartitionError("not a day"), 2),
        (CycleError("a -> a"), 2),
        (RunNotFound("no run"), 2),
        (CommandError("wrong", "do this"), 2),
        (CommandError("wrong", "do this", status=1), 1),
        (DependencyNotReady("not ready"), 1),
        (IOManagerError("cannot store"), 1),
        (StoreUnavailable("locked"), 1),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 1),
        (RuntimeError("a bug"), 1),
        (KeyboardInterrupt(), 130),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [AssetNotFound("No asset 'x'.")])]), 2),
    ],
)
def test_exit_status(error, status, capfd):
    """Wrong words are 2, a failure is 1, an interruption 130; no traceback in any case."""
    assert status_of(error) == status
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_an_error_is_a_sentence_and_a_remedy(capfd):
    """What is wrong, then what to do."""
    status_of(CommandError("There is no file x.py.", "Check the path."))
    assert capfd.readouterr().err == "error: There is no file x.py. Check the path.\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "--store"),
        (errno.EACCES, "--store"),
        (errno.EIO, "x"),
    ],
)
def test_the_disk_says_no(number, words):
    """A refusal of the operating system names the place, and the remedy where there is one."""
    problem = describe(OSError(number, "reason", "x"))
    assert "reason: x" in problem.message
    assert words in f"{problem.message} {problem.remedy}"


def test_an_unforeseen_error_points_to_debug(capfd):
    """A bug shows its type and how to see more; with --debug it shows everything."""
    status_of(ZeroDivisionError("division by zero"))
    assert "Unexpected ZeroDivisionError: division by zero" in capfd.readouterr().err
    status_of(ZeroDivisionError("division by zero"), debug=True)
    assert "Traceback" in capfd.readouterr().err or "ZeroDivisionError" in capfd.readouterr().err


def test_debug_shows_the_users_traceback(capfd):
    """A module that cannot be imported shows its own traceback, not ours."""
    status_of(CommandError("bad", debug="Traceback of the user\nline"), debug=True)
    assert capfd.readouterr().err.startswith("Traceback of the user\nline\nerror: bad")


def test_json_error(capfd):
    """With --json the error is a document on stdout as well."""
    assert status_of(AssetNotFound("No asset 'x'."), json=True) == 2
    out, err = capfd.readouterr()
    assert json.loads(out) == {"error": {"kind": "AssetNotFound", "message": "No asset 'x'.", "remedy": ""}}
    assert "No asset" in err


NOISY = """
import subprocess, sys
from flowstone.cli.screen import Screen
with Screen(json=True) as screen:
    print("from the pipeline")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    screen.document({"half surrogate": chr(0xD800), "o": "\u00f6"})
"""


def test_json_keeps_stdout_for_the_document():
    """What the pipeline prints, here or in a child process, goes to stderr; stdout holds one document."""
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, timeout=200, check=True)
    assert json.loads(done.stdout) == {"half surrogate": "\ud800", "o": "\u00f6"}
    assert set(done.stderr.decode().splitlines()) == {"from the pipeline", "from a child"}


def test_stdout_is_given_back(capfd):
    """After a command stdout is stdout again, also when the command failed."""
    status_of(AssetNotFound("no"), json=True)
    capfd.readouterr()
    print("afterwards")
    assert capfd.readouterr().out == "afterwards\n"


def test_json_without_descriptors(capsys):
    """Where stdout is only a Python object, the document still has it for itself."""
    with Screen(json=True) as screen:
        print("noise")
        screen.document({"a": 1})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"a": 1}
    assert err == "noise\n"


def test_a_status_set_by_the_body_is_the_exit_status():
    """A command that found failures says so without raising."""
    with pytest.raises(typer.Exit) as caught, Screen() as screen:
        screen.status = 1
    assert caught.value.exit_code == 1
    with Screen():
        pass


def test_text_is_literal(capfd):
    """Brackets in somebody's text are brackets, not markup, in lines and in tables."""
    table = Table(box=None, pad_edge=False)
    table.add_column("h")
    table.add_row("[red]cell[/red]")
    with Screen() as screen:
        screen.show("[bold]line[/bold]", table)
        screen.note("[i]note[/i]")
    out, err = capfd.readouterr()
    assert out == "[bold]line[/bold]\nh\n[red]cell[/red]\n"
    assert err == "[i]note[/i]\n"


def test_long_lines_are_not_folded_for_programs(capfd):
    """Output that is piped keeps one record on one line, without trailing blanks."""
    with Screen() as screen:
        screen.show("x" * 500)
    assert capfd.readouterr().out == "x" * 500 + "\n"


CLOSED_PIPE = """
import sys
import typer
from flowstone.cli.screen import Screen
try:
    with Screen() as screen:
        for number in range(100_000):
            screen.show(f"line {number}")
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


def test_a_reader_that_goes_away(tmp_path):
    """`flowstone … | head` ends quietly, with the status of a closed pipe."""
    script = tmp_path / "writes.py"
    script.write_text(CLOSED_PIPE)
    command = [sys.executable, str(script)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline() == b"line 0\n"
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait(60) == 141


@pytest.mark.parametrize("items", [[], [1], [{"text": "one\u2028two\n"}, {"empty": []}]])
async def test_a_long_document_is_written_item_by_item(capfd, items):
    """It reads as if it had been written at once, to the letter."""

    async def each():
        for item in items:
            yield item

    with Screen(json=True) as screen:
        await screen.long_document({"id": "r1", "counts": {"succeeded": 2}}, "steps", each())
        long = capfd.readouterr().out
        screen.document({"id": "r1", "counts": {"succeeded": 2}, "steps": items})
        assert long == capfd.readouterr().out
