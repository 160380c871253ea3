"""The map of the code is true: the files it names exist, and the hour's reading fits into an hour."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
HOUR = 2_500
"""Lines that can be read in an hour."""


def test_every_file_that_is_named_exists():
    """A path is one below the package."""
    named = sorted(set(re.findall(r"(?<![\w/.])(?:[a-z_]+/)*[a-z_]+\.py\b|(?<=`)(?:[a-z_]+/)+(?=`)", PAGE)))
    assert len(named) > 20
    assert [path for path in named if not (ROOT / "flowstone" / path).exists()] == []


def test_the_first_reading_takes_an_hour():
    """The numbered list of the reading order."""
    order = PAGE.partition("## Reading order\n")[2].partition("\nThen, as you need them")[0]
    files = re.findall(r"`([a-z_/]+\.py)`", order)
    assert len(files) == 7
    assert sum((ROOT / "flowstone" / file).read_text().count("\n") for file in files) <= HOUR


def test_the_layers_have_every_part_of_the_package():
    """Each module and folder at the top of the package is in the list of layers."""
    layers = PAGE.partition("## Layers\n")[2].partition("\n## ")[0]
    package = ROOT / "flowstone"
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert [name for name in sorted(modules | folders) if name not in layers] == []


def test_the_runtime_has_no_other_rooms():
    """Each folder of the runtime is in the table of its rooms."""
    rooms = {f"`runtime/{path.parent.name}/`" for path in (ROOT / "flowstone/runtime").glob("*/__init__.py")}
    assert [room for room in sorted(rooms) if room not in PAGE] == []


def test_every_file_that_the_code_names_exists():
    """Maps in docstrings, and comments, name files; `sales.py` and `json.py` are a user's."""
    files = {path.name for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in (ROOT / "flowstone").rglob("*.py")
        for name in re.findall(r"\b\w+\.py\b", path.read_text(encoding="utf-8"))
    }
    assert sorted(each for each in named if each[1] not in files | {"sales.py", "json.py"}) == []
