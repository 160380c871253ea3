"""What a worker process imports is what its program would import, whatever lies in the working directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
LONG = 60.0
"""Seconds that nothing here takes, unless it hangs."""
TRAPS = ["pickle", "json", "asyncio", "flowstone", "sitecustomize", "importlib", "encodings", "dataclasses"]
"""Names of modules that a worker process, or Python itself, imports early."""

PIPELINE = """
    from flowstone import Pipeline

    pipeline = Pipeline("shop")

    @pipeline.asset(run_in="process")
    def asset():
        import json, pickle, flowstone
        return [json.__file__, pickle.__file__, flowstone.__file__]
"""

PROGRAM = """
    import asyncio, json, pickle, sys
    import flowstone
    from flowstone import Runtime

    async def main():
        async with Runtime(shop.pipeline) as runtime:
            await runtime.materialize("asset")
            assert await runtime.load("asset") == [json.__file__, pickle.__file__, flowstone.__file__]
            print("the same")

    if __name__ == "__main__":
        {before}
        import shop
        asyncio.run(main())
"""


@pytest.fixture
def trapped(tmp_path):
    """A directory of modules that tell when they are imported."""
    place = tmp_path / "trapped"
    place.mkdir()
    for name in TRAPS:
        (place / f"{name}.py").write_text(f"open({str(tmp_path / 'caught')!r}, 'a').write({name + ' '!r})\n")
    return place


def run(arguments, directory, path=ROOT, **variables):
    """Run Python in a directory; what it said, and which traps it stepped into."""
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(path), **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    caught = directory.parent / "caught"
    return result.returncode, result.stdout, result.stderr, caught.read_text() if caught.exists() else ""


def test_a_script_elsewhere(trapped, tmp_path):
    """The working directory is not on the program's path, and so not on its worker's."""
    (tmp_path / "shop.py").write_text(dedent(PIPELINE))
    (tmp_path / "program.py").write_text(dedent(PROGRAM).format(before="pass"))
    assert run([str(tmp_path / "program.py")], trapped) == (0, "the same\n", "", "")


def test_a_path_that_grows_later(trapped):
    """What the program imported before the directory came onto its path, its worker finds where it was found."""
    (trapped / "shop.py").write_text(dedent(PIPELINE))
    (trapped.parent / "program.py").write_text(dedent(PROGRAM).format(before="sys.path.insert(0, '')"))
    assert run([str(trapped.parent / "program.py")], trapped) == (0, "the same\n", "", "")


def test_the_command_line(trapped):
    """`flowstone materialize` puts the working directory first on the path, after it has imported its own."""
    (trapped / "shop.py").write_text(dedent(PIPELINE))
    status, _, said, caught = run(
        ["-P", "-m", "flowstone", "materialize", "shop:pipeline", "asset", "--store", "memory://"],
        trapped,
    )
    assert (status, caught) == (0, ""), said


def test_the_programs_own_flowstone(trapped):
    """A copy of FlowStone that the program runs from is the one its worker runs from, however it was found."""
    (trapped / "shop.py").write_text(dedent(PIPELINE))
    copy = trapped.parent / "copy"
    shutil.copytree(ROOT / "flowstone", copy / "flowstone", ignore=shutil.ignore_patterns("__pycache__"))
    program = dedent(PROGRAM).format(
        before=f"assert flowstone.__file__.startswith({str(copy)!r}); sys.path.append('')"
    )
    program = f"import sys\nsys.path.insert(0, {str(copy)!r})\n{program}"
    (trapped.parent / "program.py").write_text(program)
    assert run([str(trapped.parent / "program.py")], trapped) == (0, "the same\n", "", "")


def test_options_of_the_interpreter_are_the_same(tmp_path):
    """A program started with `-I` has workers that ignore the environment as well."""
    source = """
        import asyncio, sys
        sys.path[:0] = [{root!r}, {here!r}]
        import flags
        from flowstone import Runtime

        async def main():
            async with Runtime(flags.pipeline) as runtime:
                await runtime.materialize("isolated")
                print(await runtime.load("isolated"))

        if __name__ == "__main__":
            asyncio.run(main())
    """
    (tmp_path / "flags.py").write_text(
        dedent("""
            import sys
            from flowstone import Pipeline

            pipeline = Pipeline("flags")

            @pipeline.asset(run_in="process")
            def isolated():
                return sys.flags.isolated, sys.flags.dev_mode
        """)
    )
    (tmp_path / "program.py").write_text(dedent(source).format(root=str(ROOT), here=str(tmp_path)))
    (tmp_path / "cwd").mkdir()
    arguments = ["-I", "-X", "dev", str(tmp_path / "program.py")]
    assert run(arguments, tmp_path / "cwd")[:2] == (0, "(1, True)\n")
