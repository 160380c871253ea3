"""What a caller is raised: it says what and where in the user's code, and it can be passed around."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import json
import pickle
import sys
import weakref
from pathlib import Path

import pytest

import flowstone
from flowstone import (
    Context,
    DailyPartitions,
    FlowstoneError,
    MaterializationFailed,
    Pipeline,
    RunFailed,
    Runtime,
)
from flowstone.store.codec import decode_materialization, encode_materialization

HERE = __file__


class Lost(Exception):
    """Something to raise, and to hold weakly."""


class Held:
    """Something that a frame holds."""


def line_of(function, text):
    """`file:line` of the line of a function that holds the text."""
    lines, first = inspect.getsourcelines(getattr(function, "function", function))
    return f"{HERE}:{first + next(n for n, line in enumerate(lines) if text in line)}"


def deeper():
    raise Lost("no data today")


failing = Pipeline("failing")


@failing.asset
async def on_the_loop() -> int:
    return deeper()


@failing.asset
def in_a_thread() -> int:
    return deeper()


@failing.asset(run_in="process")
def in_a_process() -> int:
    return deeper()


@failing.asset
def in_a_library() -> int:
    return json.loads("{")  # the last line that is the user's


@failing.asset
def in_source() -> int:
    compile("x = (\n", "/srv/rules.py", "exec")
    return 1


@failing.asset
async def in_tasks() -> None:
    async def one():
        raise ValueError("one")  # the first leaf

    async with asyncio.TaskGroup() as group:
        group.create_task(one())


@failing.asset
def because() -> int:
    try:
        return deeper()
    except Lost as error:
        raise ValueError("second") from error


@pytest.mark.parametrize(
    "name", [n for n in dir(flowstone.errors) if isinstance(getattr(flowstone.errors, n), type)]
)
def test_no_error_of_ours_is_an_exception_group(name):
    """A caller catches any of them with `except`, and a notebook's cell that raises one ends."""
    assert not issubclass(getattr(flowstone.errors, name), BaseExceptionGroup)


@pytest.mark.parametrize("asset", [on_the_loop, in_a_thread, in_a_process], ids=lambda asset: asset.name)
async def test_a_failure_names_the_line_that_raised_it(asset):
    """Wherever the function ran, the error has type, message and `file:line`, and a note has the user's frames."""
    async with Runtime(failing) as runtime:
        with pytest.raises(MaterializationFailed) as one:
            await runtime.materialize(asset)
        with pytest.raises(RunFailed) as all_of_it:
            await runtime.materialize_all(asset)
    where = line_of(deeper, "raise Lost")
    for error in (one.value, all_of_it.value):
        assert f"{asset.name}: Lost: no data today ({where})" in str(error)
        (note,) = error.__notes__
        assert "return deeper()" in note
        assert 'raise Lost("no data today")' in note
        assert "guard.py" not in note
    assert one.value.failure.where == where
    assert [record.name for record in all_of_it.value.failures] == [asset.name]


@pytest.mark.parametrize(
    ("asset", "text"),
    [(in_a_library, "json.loads"), (because, "from error"), (in_tasks, "async with")],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_the_line_is_the_users_own(asset, text):
    """An error inside a library is found where the library was called; what was chained is in the note."""
    async with Runtime(failing) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize(asset)
    assert caught.value.failure.where == line_of(asset, text)
    note = caught.value.__notes__[0]
    assert "json/decoder.py" not in note
    assert ("direct cause" in note) == (asset is because)


async def test_the_leaves_of_a_group_are_named():
    """What a task group raised says what its tasks raised, each with its line."""
    async with Runtime(failing) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize(in_tasks)
    assert f"ValueError: one ({line_of(in_tasks, 'the first leaf')})" in str(caught.value)


async def test_a_syntax_error_is_located_where_it_is():
    """Not where the source was compiled."""
    async with Runtime(failing) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize(in_source)
    assert caught.value.failure.where == "/srv/rules.py:1"


async def test_code_of_an_installed_package_counts_where_it_is_the_pipeline(tmp_path, monkeypatch):
    """Of a pipeline that is installed, its own package is the user's code, and other packages are not."""
    site = tmp_path / "site-packages"
    for name, text in {
        "company_pipeline": "import company_library\n\ndef asset() -> int:\n    return company_library.read()\n",
        "company_library": "def read():\n    raise OSError('gone')\n",
    }.items():
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(site))
    import company_pipeline

    pipeline = Pipeline()
    pipeline.asset(name="bad")(company_pipeline.asset)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize("bad")
    for name in ("company_pipeline", "company_library"):
        sys.modules.pop(name)
    assert caught.value.failure.where == f"{site}/company_pipeline/__init__.py:4"


async def test_a_run_names_its_first_three_failures():
    """The others are counted, and partitions are written as people write them."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-05"))
    async def raw(context: Context) -> int:
        raise ValueError(f"no {context.partition.day}\nlines")

    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.backfill("raw", raise_on_failure=True)
    where = line_of(raw, "raise")
    told = str(caught.value).splitlines()
    assert told[0].endswith(": 5 of 5 steps failed")
    assert told[1:3] == ["  raw[2025-01-01]: ValueError: no 1", f"    lines ({where})"]
    assert told[-1] == "  and 2 more"
    assert len(caught.value.__notes__) == 3
    assert len(caught.value.failures) == 5


@pytest.mark.parametrize(
    ("downstream", "told"),
    [
        (0, "1 of 1 step failed"),
        (1, "1 of 2 steps failed, 1 was skipped"),
        (2, "1 of 3 steps failed, 2 were skipped"),
    ],
)
async def test_a_run_counts_what_was_skipped_where_something_was(downstream, told):
    """A part of the sentence that would count nothing is left out."""
    pipeline = Pipeline()

    @pipeline.asset
    async def asset_0() -> int:
        raise ValueError("no")

    for number in range(downstream):

        @pipeline.asset(name=f"asset_{number + 1}", deps=[f"asset_{number}"])
        async def next_one() -> int:
            return 1

    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all(f"asset_{downstream}")
    assert str(caught.value).splitlines()[0].endswith(f": {told}")


async def test_steps_that_failed_in_the_same_words_are_named_once():
    """One broken source is one line, however many partitions it has."""
    pipeline = Pipeline()

    @pipeline.asset(partitions=DailyPartitions("2025-01-01", "2025-01-31"))
    async def raw() -> int:
        raise ValueError("no data")

    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.backfill("raw", raise_on_failure=True)
    (line,) = str(caught.value).splitlines()[1:]
    assert line == f"  raw[2025-01-01] and 30 more: ValueError: no data ({line_of(raw, 'raise')})"
    assert len(caught.value.__notes__) == 1


@pytest.mark.parametrize("asset", [on_the_loop, in_a_thread], ids=lambda asset: asset.name)
async def test_the_exception_is_the_cause_where_it_is_at_hand(asset):
    """A debugger gets to the frame that raised, and the traceback begins with the user's function."""
    async with Runtime(failing) as runtime:
        for request in (runtime.materialize, runtime.materialize_all):
            with pytest.raises(FlowstoneError) as caught:
                await request(asset)
            cause = caught.value.__cause__
            assert type(cause) is Lost
            assert cause.__traceback__.tb_frame.f_code is asset.function.__code__


async def test_whoever_waits_for_a_submitted_run_gets_the_cause():
    """It is kept for whoever waits when the step fails."""
    pipeline = Pipeline()
    waited = asyncio.Event()

    @pipeline.asset
    async def bad() -> int:
        await waited.wait()
        raise Lost

    async with Runtime(pipeline) as runtime:
        run = await runtime.submit("bad")
        waiting = asyncio.create_task(run.wait())
        await asyncio.sleep(0)
        waited.set()
        with pytest.raises(RunFailed) as caught:
            await waiting
    assert type(caught.value.__cause__) is Lost


async def test_several_exceptions_are_nobodys_cause():
    """Which of them would be the one is chance."""
    pipeline = Pipeline()

    async def bad() -> int:
        raise Lost

    for name in "ab":
        pipeline.asset(name=name)(bad)
    pipeline.asset(name="end", deps=["a", "b"])(lambda: 1)
    async with Runtime(pipeline) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("end")
    assert caught.value.__cause__ is None
    assert len(caught.value.failures) == 2


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("request_of", ["materialize", "materialize_all", "submit", "backfill"])
async def test_what_an_asset_raised_lives_no_longer_than_the_error(request_of, asynchronous):
    """Frames and what they hold are free, without a collection, when the error is; records keep nothing of them."""
    pipeline = Pipeline()
    held = []

    def fail(context):
        value = Held()
        held.append(weakref.ref(value))
        raise Lost(str(context.partition))

    if asynchronous:

        @pipeline.asset
        async def bad(context: Context) -> int:
            fail(context)
    else:

        @pipeline.asset
        def bad(context: Context) -> int:
            fail(context)

    result = None
    async with Runtime(pipeline) as runtime:
        gc.collect()
        gc.disable()
        try:
            match request_of:
                case "submit":
                    run = await runtime.submit("bad")
                    try:
                        await run.wait()
                    except RunFailed as error:
                        result = error.result
                case "backfill":
                    result = await runtime.backfill("bad", partitions=[1, 2])
                case _:
                    try:
                        await getattr(runtime, request_of)("bad")
                    except FlowstoneError as error:
                        assert held[0]() is not None
                        result = error.__dict__
            await asyncio.sleep(0)
            assert [one() for one in held] == [None] * len(held)
            assert result is not None
        finally:
            gc.enable()


async def test_the_errors_can_be_copied_and_pickled():
    """A copy says the same; values are not in it, and asking for one says where they are."""
    async with Runtime(failing) as runtime:
        with pytest.raises(RunFailed) as run:
            await runtime.materialize_all("on_the_loop", tags={"team": "core"})
        with pytest.raises(MaterializationFailed) as one:
            await runtime.materialize("on_the_loop", tags={"team": "core"})
    for error in (run.value, one.value):
        for made in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
            assert type(made) is type(error)
            assert str(made) == str(error)
            assert made.__notes__ == error.__notes__
    made = pickle.loads(pickle.dumps(run.value))
    assert made.failures == run.value.failures
    assert made.result.failed == run.value.result.failed
    assert repr(made.result) == repr(run.value.result)
    with pytest.raises(flowstone.ValueNotFound):
        await made.result.value("on_the_loop")


async def test_a_run_that_is_read_again_fails_in_the_same_words(tmp_path):
    """Another process knows the run from its record, which has where and which frames."""
    store = f"file://{tmp_path}"
    async with Runtime(failing, store=store) as runtime:
        with pytest.raises(RunFailed) as first:
            await runtime.materialize_all("on_the_loop")
    async with Runtime(failing, store=store) as runtime:
        run = await runtime.run(first.value.result.run_id)
        with pytest.raises(RunFailed) as again:
            await run.wait()
    assert str(again.value) == str(first.value)
    assert again.value.__notes__ == first.value.__notes__
    assert again.value.__cause__ is None


async def test_a_failure_of_an_older_release_is_read():
    """A record without place and frames loads, and its error simply lacks them."""
    async with Runtime(failing) as runtime:
        with pytest.raises(MaterializationFailed) as caught:
            await runtime.materialize("on_the_loop")
    data = encode_materialization(caught.value.materialization)
    del data["failure"]["where"], data["failure"]["frames"]
    assert decode_materialization(data).failure.where == ""


def test_the_files_of_this_package_are_not_the_users():
    """The place that tells them apart is the package's folder."""
    from flowstone.runtime.execution import own_code

    assert Path(own_code._OURS) == Path(flowstone.__file__).parent


async def test_what_an_asset_raises_drives_no_terminal():
    """The error that is raised writes out what would act on a terminal; the record has the text as it is."""
    pipeline = Pipeline()

    @pipeline.asset
    def bad() -> int:
        raise ValueError("\x1b[2J\u202e")

    async with Runtime(pipeline) as runtime:
        with pytest.raises(MaterializationFailed) as one:
            await runtime.materialize("bad")
        with pytest.raises(RunFailed) as run:
            await runtime.materialize_all("bad")
    for error in (one.value, run.value):
        assert "\\x1b[2J\\u202e" in str(error)
        assert "\x1b" not in f"{error}{error.__notes__}"
    assert one.value.failure.message == "ValueError: \x1b[2J\u202e"
