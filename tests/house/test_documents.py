"""The documents tell the truth: links lead somewhere, code compiles, sessions give the output shown.

In README.md, CONTRIBUTING.md and docs/ a fenced block marked

* `pycon` is a session: it is run, `await` included, and its output compared (`...` stands for anything);
* `python` must compile, and what it imports from flowstone must exist; one that ends in `asyncio.run(...)`
  is a whole program and is run. One with a title is a file of a guide, which `tests/cli/test_guides.py` follows.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import re
import subprocess
import sys
import textwrap
import traceback
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("benchmarks/*.md"),
        *ROOT.glob("examples/*.md"),
    ]
)
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?P<title> title=)?[^\n]*\n(?P<body>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def blocks(language: str, *, files: bool = True) -> list:
    """Each block of one language in the documents, named `file:line`; `files` are those with a title."""
    return [
        pytest.param(
            textwrap.dedent(block["body"]),
            id=f"{path.relative_to(ROOT)}:{text[: block.start()].count(chr(10)) + 1}",
        )
        for path in DOCUMENTS
        for text in [path.read_text()]
        for block in FENCE.finditer(text)
        if block["language"] == language and (files or not block["title"])
    ]


def slugs(path: Path) -> set[str]:
    """The anchors of a document's headings, as code hosts make them."""
    headings = re.findall(
        r"^#+ (.+)$",
        re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL),
        re.MULTILINE,
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Every relative link names a file of the project, and its anchor a heading of it."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in (match["target"] for match in LINK.finditer(text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{target} is missing"
        assert not anchor or anchor in slugs(file), f"{target} has no such heading"


@pytest.mark.parametrize("code", blocks("python"))
def test_code_compiles_and_imports_what_exists(code):
    """A `python` block compiles, and every name it imports from flowstone is there."""
    tree = compile(code, "<document>", "exec", flags=TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)
    compile(code, "<document>", "exec", flags=TOP_LEVEL_AWAIT, dont_inherit=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "flowstone":
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(
    "code",
    [
        block
        for block in blocks("python", files=False)
        if re.search(r"^asyncio\.run\(.*\)\s*\Z", block.values[0], re.MULTILINE)
    ],
)
def test_whole_programs_run(code, tmp_path):
    """A `python` block that ends in `asyncio.run(...)` runs without an error."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_sessions_give_the_output_shown(path, tmp_path, monkeypatch):
    """The `pycon` blocks of a document, typed one after another into a session, give what it shows."""
    sessions = [block["body"] for block in FENCE.finditer(path.read_text()) if block["language"] == "pycon"]
    monkeypatch.chdir(tmp_path)
    parser = doctest.DocTestParser()
    asyncio.run(
        replay([example for session in sessions for example in parser.get_examples(textwrap.dedent(session))])
    )


async def replay(examples: list[doctest.Example]) -> None:
    """Run the examples of one session in one namespace and compare each output."""
    namespace = {"__name__": "__session__"}
    checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for example in examples:
        want = example.exc_msg or example.want
        got = await typed(example.source, namespace)
        shown = f"{example.source}\nexpected\n{want}\ngot\n{got}"
        assert checker.check_output(want, got, flags), shown


async def typed(source: str, namespace: dict) -> str:
    """What typing `source` prints; of an exception the lines after its traceback."""
    code = compile(source, "<session>", "single", flags=TOP_LEVEL_AWAIT, dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            answer = eval(code, namespace)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            printed.write("".join(traceback.format_exception_only(error)))
    return printed.getvalue()
