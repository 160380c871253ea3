"""The guides can be followed: their files are written, their commands run, and each shows what the page says.

In a guide a fenced block with a title is a file; a later block with the same title replaces it, or is appended
where it continues a test file. A `console` block is typed into a terminal in that folder.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<body>.*?)^```', re.MULTILINE | re.DOTALL
)
PROGRESS = re.compile(r"^(run \w+: [\d,/ ]+|[\d,]+ of [\d,]+ )steps.*\n", re.MULTILINE)
"""Said now and then while a run goes on; on a terminal it is a bar."""
RULE = re.compile(r"^─+\n", re.MULTILINE)
"""What is below the head of a table, on a terminal alone."""
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
HERE = {"flowstone": [sys.executable, "-m", "flowstone"], "python": [sys.executable]}
"""How this project runs the programs that a guide names."""
SETTING_UP = {"pip", "export"}
"""Commands that the test's own environment stands for."""


class Terminal:
    """A folder, the environment of a guide, and the programs that it has left running."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "FLOWSTONE_STORE": store, "PYTHONPATH": str(DOCS.parent)}
        self.running: list[subprocess.Popen[str]] = []

    def write(self, title: str, body: str) -> None:
        file = self.folder / title
        goes_on = title.startswith("test_") and file.exists()
        file.write_text(f"{file.read_text()}\n\n{body}" if goes_on else body)

    def type(self, command: str) -> str:
        """What a command shows; one that serves shows its first two lines and goes on."""
        program, *arguments = shlex.split(command)
        process = subprocess.Popen(
            [*HERE[program], *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        if arguments[0] == "serve":
            assert process.stdout is not None
            return process.stdout.readline() + process.stdout.readline()
        return PROGRESS.sub("", process.communicate()[0])

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.terminate()
                process.communicate()


@pytest.fixture
def terminal(tmp_path, request):
    """A terminal in an empty folder; the database is made for guides that keep something."""

    def opened(*, durable: bool) -> Terminal:
        store = request.getfixturevalue("database") if durable else "memory://"
        terminals.append(Terminal(tmp_path, store))
        return terminals[-1]

    terminals: list[Terminal] = []
    yield opened
    for each in terminals:
        each.close()


def sessions(body: str) -> list[tuple[str, str]]:
    """The commands of a console block, and what each shows."""
    typed = re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]
    return [(command, RULE.sub("", shown)) for command, _, shown in (each.partition("\n") for each in typed)]


@pytest.mark.timeout(600)  # Some twenty interpreters.
@pytest.mark.parametrize(
    ("guide", "durable"), [("tutorial.md", True), ("testing.md", False), ("simulation.md", False)]
)
def test_a_guide_can_be_followed(terminal, guide, durable):
    """From its first block to its last."""
    there = terminal(durable=durable)
    for block in BLOCK.finditer((DOCS / guide).read_text(encoding="utf-8")):
        if block["title"]:
            there.write(block["title"], block["body"])
        for command, shown in sessions(block["body"]) if block["language"] == "console" else ():
            if command.split()[0] not in SETTING_UP:
                got = there.type(command)
                assert doctest.OutputChecker().check_output(shown, got, FLAGS), f"$ {command}\n{got}"
