"""What every store promises of items that nobody needs any more; mix it in as the others."""

from __future__ import annotations

from flowstone.runs.items import ItemRow
from flowstone.runs.records import Status
from flowstone.store.items import ItemSet
from tests.store.contract import finished_run
from tests.store.facts import begun, end, over, run

A, B = ("a", None), ("b", "s:x")


def rows_of(run_id, many=3):
    """Items that succeeded, each with a value of its own."""
    return [ItemRow(position, 1, 1, None, None, f"{run_id}/{position}") for position in range(many)]


async def run_with_items(
    store, run_id, *events, step=A, status=Status.FAILED, rows=None, payloads=(), io="files"
):
    """A finished run of which a step went through items."""
    await store.create_run(run(run_id))
    await store.write(begun(run_id))
    await store.items.record(run_id, step, 0, rows_of(run_id) if rows is None else rows, payloads, io=io)
    await store.write_many([*events, over(run_id, status)])


async def unneeded(store, *assets, limit=9):
    """Which items nobody needs, in their order."""
    return sorted(await store.items.unneeded(assets or ("a", "b"), limit=limit))


class ItemsContract:
    """Their rows outlive their run, until their values are deleted, and no longer."""

    async def test_items_of_a_step_without_a_value_are_handed_out_when_their_run_is_forgotten(self, place):
        """And not before; they are there until they are forgotten."""
        await run_with_items(place.store, "run-1", end("a", status=Status.FAILED))
        await place.store.prune(keep_versions=1, keep_runs=1)
        assert await unneeded(place.store) == []
        await finished_run(place.store, "run-2")
        await place.store.prune(keep_versions=1, keep_runs=1)
        store = await place.reopen()
        assert await store.run("run-1") is None
        for _ in range(2):
            assert await unneeded(store) == [ItemSet("run-1", A, "files")]
        assert await store.items.rows("run-1", A) == rows_of("run-1")
        await store.items.forget("run-1", A)
        store = await place.reopen()
        assert await unneeded(store) == []
        assert await store.items.rows("run-1", A) == []

    async def test_items_of_a_step_that_never_ended_are_handed_out(self, place):
        """Its run was cancelled, or its process died."""
        await run_with_items(place.store, "run-1", step=B, status=Status.CANCELLED)
        await place.store.prune(keep_versions=1, keep_runs=0)
        assert await unneeded(await place.reopen()) == [ItemSet("run-1", B, "files")]

    async def test_items_of_a_value_are_handed_out_when_that_is_superseded(self, place):
        """Whether their run is forgotten or not, and wherever the value itself is."""
        for number, location in enumerate(("items:run-0", "elsewhere", "items:run-2")):
            name = f"run-{number}"
            await run_with_items(
                place.store, name, end("a", run_id=name, location=location), status=Status.SUCCEEDED
            )
        gone = await place.store.prune(keep_versions=1, keep_runs=2)
        assert sorted(record.location for record in gone) == ["elsewhere", "items:run-0"]
        store = await place.reopen()
        assert [one.run_id for one in await unneeded(store)] == ["run-0", "run-1"]
        await store.prune(keep_versions=1, keep_runs=0)
        store = await place.reopen()
        assert [one.run_id for one in await unneeded(store)] == ["run-0", "run-1"]
        assert await store.items.rows("run-2", A) == rows_of("run-2")

    async def test_items_of_a_value_that_is_needed_stay(self, place):
        """It is current, and its run long forgotten."""
        await run_with_items(place.store, "run-1", end("a"), status=Status.SUCCEEDED)
        for number in (2, 3):
            await finished_run(place.store, f"run-{number}")
            await place.store.prune(keep_versions=1, keep_runs=0)
            store = await place.reopen()
            assert await unneeded(store) == []
            assert await store.items.rows("run-1", A) == rows_of("run-1")

    async def test_items_of_others_are_not_handed_out(self, place):
        """Whoever asks says of which assets it can delete values."""
        await run_with_items(place.store, "run-1")
        await run_with_items(place.store, "run-2", step=B)
        await place.store.prune(keep_versions=1, keep_runs=0)
        store = await place.reopen()
        assert [one.run_id for one in await unneeded(store, "b", "c")] == ["run-2"]
        assert await unneeded(store, "c") == []
        assert [one.run_id for one in await unneeded(store, "a")] == ["run-1"]

    async def test_items_are_handed_out_in_turn(self, place):
        """Those whose values cannot be deleted hold up no others."""
        for number in range(5):
            await run_with_items(place.store, f"run-{number}", step=("a", f"s:{number}"))
        await place.store.prune(keep_versions=1, keep_runs=0)
        seen = []
        for _ in range(3):
            portion = await unneeded(place.store, limit=2)
            assert len(portion) == 2
            seen += [one.run_id for one in portion]
        assert set(seen) == {f"run-{number}" for number in range(5)}

    async def test_items_are_forgotten_up_to_a_position(self, place):
        """Those behind it are still known, and needed as little."""
        await run_with_items(place.store, "run-1", rows=rows_of("run-1", 5))
        await place.store.prune(keep_versions=1, keep_runs=0)
        await place.store.items.forget("run-1", A, up_to=2)
        store = await place.reopen()
        assert await store.items.rows("run-1", A) == rows_of("run-1", 5)[3:]
        assert await unneeded(store) == [ItemSet("run-1", A, "files")]
        await store.items.forget("run-1", A, up_to=9)
        await store.items.forget("run-1", A)
        assert await unneeded(await place.reopen()) == []

    async def test_items_without_values_go_with_their_run(self, place):
        """There is nothing to be deleted."""
        failed = [ItemRow(position, 2, 1) for position in range(3)]
        await run_with_items(place.store, "run-1", rows=failed)
        await place.store.prune(keep_versions=1, keep_runs=0)
        store = await place.reopen()
        assert await unneeded(store) == []
        assert await store.items.rows("run-1", A) == []

    async def test_what_keeps_a_value_is_noted_whenever_it_keeps_the_first(self, place):
        """Rows are recorded many at once, and some have none."""
        await run_with_items(place.store, "run-0", rows=[])
        store = place.store
        await store.create_run(run("run-1"))
        for rows in ([ItemRow(7, 3, 1)], rows_of("run-1"), [ItemRow(8, 3, 1)]):
            await store.items.record("run-1", A, 0, rows, io="files")
        await store.write(over("run-1", Status.FAILED))
        await store.prune(keep_versions=1, keep_runs=0)
        assert await unneeded(await place.reopen()) == [ItemSet("run-1", A, "files")]
