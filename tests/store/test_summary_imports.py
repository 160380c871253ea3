"""The process that summarises a journal imports nothing of what a program has put on its path."""

from __future__ import annotations

import sys
from pathlib import Path

from flowstone.store.summary import Summary

ROOT = Path(__file__).parents[2]
TRAPS = ["asyncio", "dataclasses", "flowstone", "json", "pathlib", "sitecustomize"]


async def test_a_directory_that_was_put_first_on_the_path_is_not_searched_first(tmp_path, monkeypatch):
    """As the command line puts the working directory there: modules in it do not stand in for others."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'caught')!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path), "", str(ROOT), *sys.path])
    header = b'{"flowstone": "journal", "version": 2, "id": "4be03f1c"}\n'
    (tmp_path / "journal").write_bytes(header)
    with (tmp_path / "summary").open("wb") as file:
        Summary().write(tmp_path / "journal", len(header), file.fileno())
    assert not (tmp_path / "caught").exists()
