"""Routes: which assets run is decided once in a run, recorded, and obeyed."""

from __future__ import annotations

from typing import Literal

import pytest

from flowstone import (
    AllPartitions,
    Context,
    DefinitionError,
    Outcome,
    Output,
    Pipeline,
    RunFailed,
    Skip,
    StaticPartitions,
    UnknownDependency,
)

KEYS = StaticPartitions(["fast", "thorough", "both", "none"])


def routed(answer):
    """A route between two ways to a report, which takes what is there; `answer` is what it returns or raises."""
    pipeline = Pipeline("routed")
    pipeline.calls = []

    @pipeline.asset
    async def size() -> int:
        return 10

    @pipeline.route(to=["fast", "thorough"])
    async def way(size: int):
        pipeline.calls.append(size)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @pipeline.asset
    async def fast(size: int) -> str:
        return f"fast {size}"

    @pipeline.asset
    def thorough(size: int) -> str:
        return f"thorough {size}"

    @pipeline.asset
    async def checked(thorough: str) -> str:
        return thorough

    @pipeline.asset
    async def report(fast: str = "-", checked: str = "-") -> str:
        return f"{fast}, {checked}"

    @pipeline.asset
    async def told(fast: Outcome[str]) -> str:
        return fast.reason or fast.value

    return pipeline


@pytest.mark.parametrize(
    ("answer", "value", "skipped"),
    [
        ("fast", "fast 10, -", {"thorough", "checked"}),
        (["thorough"], "-, thorough 10", {"fast"}),
        (["fast", "thorough"], "fast 10, thorough 10", set()),
        (None, "-, -", {"fast", "thorough", "checked"}),
        ([], "-, -", {"fast", "thorough", "checked"}),
        (Skip("no way today"), "-, -", {"way", "fast", "thorough", "checked"}),
    ],
)
async def test_who_is_not_chosen_is_skipped_by_choice(place, answer, value, skipped):
    pipeline = routed(answer)
    async with place.runtime(pipeline) as runtime:
        result = await runtime.materialize_all("report")
        assert (result.status, await result.value()) == ("succeeded", value)
        assert {step.name for step in result.skipped} == skipped
        assert {step.failure.kind for step in result.skipped} <= {"skip"}
        assert {step.failure.cause for step in result.skipped if step.name != "way"} <= {"way"}
        assert len(pipeline.calls) == 1
        if answer == "fast":
            assert await runtime.load("way") == "fast"
            assert (await runtime.history("way"))[0].metadata == {"route": ["fast"]}
            reason = next(step.failure.message for step in result.skipped if step.name == "thorough")
            assert reason == "Skipped because the route way chose fast."
            assert (await runtime.materialize("thorough")).status == "succeeded"
        if answer is None:
            told = await runtime.materialize_all("told")
            assert await told.value() == "Skipped because the route way chose nothing."


@pytest.mark.parametrize("answer", ["fats", 3, [None], ValueError("no")], ids=repr)
async def test_what_is_no_choice_fails_the_route(place, answer):
    async with place.runtime(routed(answer)) as runtime:
        with pytest.raises(RunFailed) as caught:
            await runtime.materialize_all("report")
        result = caught.value.result
        assert [step.name for step in result.failed] == ["way"]
        assert {step.name for step in result.skipped} == {"fast", "thorough", "checked", "report"}
        if answer == "fats":
            assert (
                "'fats', which is not one of its assets. Did you mean 'fast'?"
                in result.failed[0].failure.message
            )


async def test_each_partition_has_a_choice_and_a_restart_makes_none_again(place):
    pipeline = Pipeline("partitions")
    calls = []

    @pipeline.route(to=["fast", "thorough"], partitions=KEYS)
    def way(context: Context) -> list[str]:
        calls.append(context.partition)
        return [name for name in ("fast", "thorough") if context.partition in (name, "both")]

    @pipeline.asset(partitions=KEYS)
    async def gate(context: Context) -> str:
        return context.approval("go").by

    @pipeline.asset(partitions=KEYS)
    async def fast(gate: str) -> str:
        return "f"

    @pipeline.asset(partitions=KEYS)
    async def thorough(gate: str) -> str:
        return "t"

    @pipeline.asset(partitions=KEYS)
    async def report(fast: str = "", thorough: str = "") -> str:
        return fast + thorough

    async with place.runtime(pipeline) as runtime:
        run = await runtime.submit("report", partition="fast")
        async for event in run.events():
            if event.kind == "run.waiting":
                break
        if place.name == "memory":
            await runtime.approve((await runtime.approvals())[0].id, by="ann")
            assert await (await run.wait()).value() == "f"
    if place.name != "memory":
        async with place.runtime(pipeline) as runtime:
            run = await runtime.run(run.id)
            await runtime.approve((await runtime.approvals())[0].id, by="ann")
            result = await run.wait()
            assert await result.value() == "f"
            assert {step.name: step.failure.cause for step in result.skipped} == {
                "thorough[fast]": "way[fast]"
            }
    assert calls == ["fast"]


@pytest.mark.parametrize("answer", ["fast", ["fast", "thorough"]], ids=repr)
async def test_a_branch_may_take_what_its_route_returned(place, answer):
    pipeline = Pipeline("routed")

    @pipeline.route(to=["fast", "thorough"])
    async def way() -> str | list[str]:
        return answer

    @pipeline.asset
    async def fast(way: str | list[str]) -> str:
        return f"fast by {way!r}"

    @pipeline.asset
    def thorough(way: list[str] = ()) -> str:
        return f"thorough by {way!r}"

    @pipeline.asset
    async def report(fast: str = "-", thorough: str = "-") -> str:
        return f"{fast}, {thorough}"

    async with place.runtime(pipeline) as runtime:
        assert (await runtime.materialize("thorough")).status == "succeeded"
        assert await runtime.load("thorough") == "thorough by ()"
        result = await runtime.materialize_all("report")
        thorough = "-" if answer == "fast" else f"thorough by {answer!r}"
        assert await result.value() == f"fast by {answer!r}, {thorough}"
        assert [step.name for step in result.skipped] == (["thorough"] if answer == "fast" else [])
        chosen = (await runtime.history("fast"))[0]
        assert [used.asset for used in chosen.inputs] == ["way"]


async def test_a_plan_says_what_depends_on_a_route(place):
    pipeline = routed("fast")
    async with place.runtime(pipeline) as runtime:
        plan = await runtime.plan("report", upstream=True, refresh="all")
        reasons = {step.asset: step.because for step in plan}
        assert reasons["thorough"] == "everything is computed, whatever exists, if way chooses it"
        assert reasons["checked"] == reasons["way"] == "everything is computed, whatever exists"
        await runtime.materialize_all("report")
        plan = await runtime.plan("report", upstream=True, refresh="missing")
        reasons = {step.asset: (step.action, step.because) for step in plan}
        assert reasons["fast"] == ("reuse", "it has a current value, if way chooses it")
        assert reasons["thorough"] == ("run", "it has no current value, if way chooses it")
    assert "way -->|chooses| fast" in pipeline.graph.to_mermaid()
    assert '"way" -> "fast" [label=chooses]' in pipeline.graph.to_dot()


async def test_a_plan_names_the_partition_of_the_route(place):
    pipeline = Pipeline("partitions")

    @pipeline.route(to=["branch"], partitions=KEYS)
    async def way() -> None: ...

    @pipeline.asset(partitions=KEYS)
    async def branch() -> int:
        return 1

    @pipeline.asset(partitions=KEYS, deps=["all_ways"], mappings={"all_ways": AllPartitions()})
    async def after(branch: int = 0) -> int:
        return branch

    @pipeline.route(to=["after"], partitions=KEYS)
    async def all_ways() -> None: ...

    async with place.runtime(pipeline) as runtime:
        plan = await runtime.plan("after", partition="fast", upstream=True)
        reasons = {step.asset: step.because for step in plan}
        assert reasons["branch"].endswith(", if way[fast] chooses it")
        assert reasons["after"].endswith(", if all_ways chooses it")


@pytest.mark.parametrize(
    "annotation",
    [
        Literal["fast", "thorogh"],
        "Literal['fast', 'thorogh']",
        Literal["fast", "thorogh"] | None,
        list[Literal["fast", "thorogh"]],
        Output[Literal["thorogh"]],
    ],
    ids=str,
)
def test_a_choice_that_its_annotation_names_is_checked_where_it_is_defined(annotation):
    """It need not wait for the run that makes it, whose failure others may tolerate."""

    async def way():
        return "fast"

    way.__annotations__["return"] = annotation
    pipeline = Pipeline("checked")
    with pytest.raises(DefinitionError, match=r"may return 'thorogh', .* Did you mean 'thorough'\?"):
        pipeline.route(to=["fast", "thorough"])(way)
    way.__annotations__["return"] = Literal["fast"] | list[Literal["fast", "thorough"]] | None
    assert pipeline.route(to=["fast", "thorough"])(way).routes_to == ("fast", "thorough")


@pytest.mark.parametrize("to", [["fast", "thorough"], ["fast"], ["none"]])
def test_routes_may_share_an_annotation_that_names_more_than_one_of_them_chooses_of(to):
    """Only what misspells an asset that it would else never choose is refused where it is defined."""

    async def way():
        return "fast"

    way.__annotations__["return"] = Literal["fast", "fast_2", "thorough", "none"]
    assert Pipeline("shared").route(to=to)(way).routes_to == tuple(to)


def test_what_is_refused():
    """Assets that do not exist, are constants, or take the route's outcome."""
    pipeline = Pipeline("refused")

    @pipeline.route(to=["fats"])
    async def way() -> str:
        return "fast"

    @pipeline.asset
    async def fast() -> int:
        return 1

    with pytest.raises(
        UnknownDependency, match=r"leads to 'fats', but there is no such asset. Did you mean 'fast'"
    ):
        print(pipeline.graph)
    with pytest.raises(DefinitionError, match=r"to='fast' is the name of an asset, not a list"):
        pipeline.route(to="fast")(way.function)
    for nothing in ([], None):
        with pytest.raises(DefinitionError, match="takes the names of the assets"):
            pipeline.route(to=nothing)(way.function)
    pipeline = Pipeline("refused")
    pipeline.value("one", 1)
    pipeline.route(to=["one"])(way.function)
    with pytest.raises(DefinitionError, match="which is always there"):
        print(pipeline.graph)
    pipeline = Pipeline("refused")
    pipeline.route(to=["after"])(way.function)

    @pipeline.asset
    async def after(way: Outcome[str]) -> str:
        return way.value

    with pytest.raises(DefinitionError, match="which takes its Outcome, but runs only if it is chosen"):
        print(pipeline.graph)
    pipeline = Pipeline("refused")

    @pipeline.route(to=["each"])
    def way() -> str:
        return "each"

    with pytest.raises(
        DefinitionError, match=r"If 'way' is the route that leads to it, add deps=\['way'\]\."
    ):

        @pipeline.asset(partitions=KEYS, mappings={"way": AllPartitions()})
        async def each() -> int:
            return 1
