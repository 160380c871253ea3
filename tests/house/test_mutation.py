"""The command `python -m tests.mutation`: which changes it makes. That tests notice them is what it is for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import mutants

ROOT = Path(__file__).parents[2]
MODULE = "flowstone.runs.retry_policy"

SOURCE = '''
LIMIT = 3

class Door:
    def open(self, a, b):
        """Only what is inside functions is changed."""
        if a < b and not self.shut:
            self.count += 1
            note(a)
        match a:
            case int() if b:
                return 2
        return True
'''


def test_each_change_is_a_small_one(tmp_path):
    """Operators, conditions, numbers and truth values; a statement may be missing, words are left alone."""
    path = tmp_path / "door.py"
    path.write_text(SOURCE)
    found = list(mutants(path))
    assert {mutant.what for mutant in found} == {
        "if a < b and (not self.shut): -> if not (a < b and (not self.shut)):",
        "a < b and (not self.shut) -> a < b or not self.shut",
        "a < b -> a <= b",
        "self.count += 1 -> self.count -= 1",
        "self.count += 1 -> nothing",
        "note(a) -> nothing",
        "1 -> 2",
        "2 -> 3",
        "case int() if b: -> case int() if not b:",
        "True -> False",
    }


def test_a_change_is_made_alone(tmp_path):
    """What was changed before is as it was."""
    path = tmp_path / "door.py"
    path.write_text(SOURCE)
    before = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mutant in mutants(path):
        after = mutant.source.splitlines()
        assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize(("outcome", "status"), [("True", 1), ("False", 2)])
def test_nothing_is_said_of_changes_that_were_not_tried(tmp_path, outcome, status):
    """Where a test fails without any change each change would seem to be noticed."""
    (tmp_path / "test_door.py").write_text(f"import {MODULE}\n\ndef test_it():\n    assert {outcome}\n")
    command = [sys.executable, "-m", "tests.mutation", "--jobs", "1", "--tests", tmp_path]
    changed = ROOT / f"{MODULE.replace('.', '/')}.py"
    done = subprocess.run([*command, changed], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "Nothing was tried" in done.stdout) == (status, outcome == "False")
