"""Builds the documentation as a site, strictly: `uv run --group docs python docs/site.py`.

The pages in `docs/` are written for a code host, where a link may lead to any file of the project. Here they
are copied into `build/`, together with the documents that lie outside of `docs/`; a link to a file that is no page
becomes its text. Then zensical makes a site of them in `build/site`. It needs no network, and fails on a page or an
anchor that is not there, and on a name that it cannot find in the code.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS, BUILD = ROOT / "docs", ROOT / "build"
PAGES = BUILD / "pages"
BROUGHT = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Documents outside of `docs/`, and the pages they become."""
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")
FENCE = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Copy the pages and build the site; the status is that of the build."""
    for folder in (PAGES, BUILD / "site"):
        shutil.rmtree(folder, ignore_errors=True)
    sources = {file: file.relative_to(DOCS) for file in DOCS.rglob("*") if file.suffix in {".md", ".svg"}}
    sources |= {ROOT / document: Path(page) for document, page in BROUGHT.items()}
    for source, page in sources.items():
        copy = PAGES / page
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8")
        copy.write_text(relinked(text, source, page) if source.suffix == ".md" else text, encoding="utf-8")
    shutil.copy(DOCS / "zensical.toml", BUILD)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    return subprocess.run(command, cwd=BUILD, check=False).returncode


def relinked(text: str, source: Path, page: Path) -> str:
    """The text of a page with links that lead to pages; code is left as it is."""

    def link(found: re.Match[str]) -> str:
        if ":" in found["target"]:
            return found[0]
        target = page_of((source.parent / found["target"]).resolve())
        if target is None:
            return found["text"]
        up = "../" * (len(page.parts) - 1)
        return f"{found['image']}[{found['text']}]({up}{target}{found['anchor'] or ''})"

    parts = FENCE.split(text)  # Every second one is code.
    return "".join(part if number % 2 else LINK.sub(link, part) for number, part in enumerate(parts))


def page_of(file: Path) -> str | None:
    """The page that a file becomes, or None."""
    if file.is_relative_to(DOCS):
        return file.relative_to(DOCS).as_posix()
    return BROUGHT.get(file.relative_to(ROOT).as_posix())


if __name__ == "__main__":
    sys.exit(main())
