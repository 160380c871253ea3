"""What a runtime is asked to run by an `Asset` or a function is that very one, or it is refused."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from flowstone import AssetNotFound, Pipeline, Runtime

CELL = "@pipeline.asset\ndef raw(): return {}"


class Notebook:
    """The `__main__` of a notebook, and its cells."""

    def __init__(self) -> None:
        self.pipeline = Pipeline("notebook")
        self.names: dict[str, Any] = {"__name__": "__main__", "pipeline": self.pipeline}

    def run(self, cell: int, source: str) -> Any:
        exec(compile(source, f"/tmp/ipykernel_42/{cell}.py", "exec"), self.names)
        return self.names["raw"]


CALLS = {
    "materialize": lambda runtime, asset: runtime.materialize(asset),
    "materialize_all": lambda runtime, asset: runtime.materialize_all(asset),
    "backfill": lambda runtime, asset: runtime.backfill(asset, partitions=["a"]),
    "submit": lambda runtime, asset: runtime.submit(asset),
    "submit_backfill": lambda runtime, asset: runtime.submit_backfill(asset, partitions=["a"]),
    "plan": lambda runtime, asset: runtime.plan(asset),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_what_was_defined_again_is_not_run_as_it_was(call):
    """A cell is changed and run again while a runtime is open: the earlier function is not run in its place."""
    notebook = Notebook()
    notebook.run(1, CELL.format(1))
    async with Runtime(notebook.pipeline) as runtime:
        changed = notebook.run(2, CELL.format(2))
        for given in (changed, changed.function):
            with pytest.raises(
                AssetNotFound, match=r"another 'raw' .* at 1\.py:1\. Make a runtime of the pipeline"
            ):
                await call(runtime, given)
        await runtime.materialize("raw")
        assert await runtime.load(changed) == 1
    async with Runtime(notebook.pipeline) as runtime:
        await runtime.materialize(changed)
        assert await runtime.load("raw") == 2


async def test_the_same_cell_run_again_is_the_same_asset():
    """Nothing has changed, so there is nothing to refuse."""
    notebook = Notebook()
    notebook.run(1, CELL.format(1))
    async with Runtime(notebook.pipeline) as runtime:
        await runtime.materialize(notebook.run(1, CELL.format(1)))


def shop(region: str) -> Pipeline:
    """One of several pipelines from the same lines."""
    pipeline = Pipeline(region)

    @pipeline.asset
    def raw() -> str:
        return region

    pipeline.value("depth", region)
    return pipeline


@pytest.mark.parametrize("name", ["raw", "depth"])
async def test_an_asset_of_another_pipeline_is_not_taken_for_its_namesake(name):
    """The same lines with another value around them, and constants."""
    north, south = shop("north"), shop("south")
    async with Runtime(north) as runtime:
        await runtime.materialize_all(north.assets[name])
        with pytest.raises(AssetNotFound, match=f"another '{name}'"):
            await runtime.materialize_all(south.assets[name])


async def test_a_function_of_the_same_name_is_not_taken_for_an_asset():
    """Neither is one that happens to be called as an asset; what wraps the asset's own function is."""
    pipeline = shop("north")

    def raw() -> str:
        return "mine"

    @functools.wraps(pipeline.assets["raw"])
    def wrapped() -> str:
        return "as the asset's"

    async with Runtime(pipeline) as runtime:
        with pytest.raises(AssetNotFound, match="another 'raw'"):
            await runtime.materialize(raw)
        await runtime.materialize(wrapped)
