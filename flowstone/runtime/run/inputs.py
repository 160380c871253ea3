"""The upstream values of one step: which ones it needs, whether they are there, and loading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.outcome import Outcome
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import partition_label, step_label
from flowstone.errors import DefinitionError, DependencyNotReady
from flowstone.remedies import Remedies
from flowstone.runs.records import Input, Status
from flowstone.runtime.run.gathering import gathered
from flowstone.runtime.run.values import load_value

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from flowstone.assets.asset import Asset, Dependency
    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_view import PartitionView
    from flowstone.runs.plan import RunPlan
    from flowstone.runs.records import Materialization, StepKey
    from flowstone.runtime.context import RuntimeContext

__all__ = ["FIRST", "Needs", "constants_of", "load_inputs", "needs_of", "not_ready", "unreachable"]


class Needs:
    """What one step needs of one upstream asset."""

    __slots__ = ("dependency", "keys", "many", "own", "values")

    def __init__(
        self,
        dependency: Dependency,
        values: Sequence[Any],
        keys: list[StepKey],
        *,
        many: bool,
        own: bool = False,
    ) -> None:
        self.dependency = dependency
        self.values = values
        self.keys = keys
        self.many = many
        self.own = own  # Whether they are earlier values of the asset itself.

    @property
    def takes_outcome(self) -> bool:
        """Whether it is whatever became of the upstream step."""
        return self.dependency.takes == "outcome"

    @property
    def unreachable(self) -> bool:
        """Whether the mapping leads to no partition at all where one value is wanted, and must be there."""
        return not (self.keys or self.many or self.dependency.optional or self.own)

    def missing(self, found: Container[StepKey]) -> list[str]:
        """What has no value, as people write it; empty if the step can do without.

        The default of an asset's own past is for the first key. To take it for a later one, whose earlier value is
        merely not there, would begin a running total anew.
        """
        if (self.dependency.optional and not self.own) or self.takes_outcome:
            return []
        return [step_label(*key) for key in self.keys if key not in found]


def needs_of(
    graph: AssetGraph, view: PartitionView, asset: Asset[..., Any], partition: Any, key: str | None
) -> list[Needs]:
    """What a step needs of each upstream asset, constants left out: they are always there.

    Raises:
        DefinitionError: It takes an outcome, and would be given many.
    """
    assets = graph.assets
    needs = []
    for dependency in asset.dependencies:
        name = dependency.asset
        upstream = assets[name]
        if upstream.is_constant or dependency.is_bare_choice:
            continue
        if upstream.partitions is None and asset.partitions is None:
            # The same key, whichever it is: most edges of most graphs, so it takes no detour.
            needs.append(Needs(dependency, (partition,), [(name, key)], many=False))
            continue
        values, many = view.upstream_keys(asset.name, name, partition)
        if many and dependency.takes == "outcome":
            raise DefinitionError(graph.refused_outcome(asset, dependency))
        if len(values) == 1 and values[0] is partition:
            keys = [(name, key)]
        else:
            keys = [(name, None if value is None else encode_partition(value)) for value in values]
        needs.append(Needs(dependency, values, keys, many=many, own=name == asset.name))
    return needs


def constants_of(graph: AssetGraph, asset: Asset[..., Any]) -> dict[str, Any]:
    """The arguments that constants are for."""
    arguments: dict[str, Any] = {}
    for dependency in asset.dependencies:
        upstream = graph.assets[dependency.asset]
        if upstream.is_constant and dependency.parameter is not None:
            value = upstream.value
            if dependency.takes == "outcome":
                value = Outcome(Status.SUCCEEDED, value, name=upstream.name)
            arguments[dependency.parameter] = value
    return arguments


async def load_inputs(
    ctx: RuntimeContext,
    plan: RunPlan,
    asset: Asset[..., Any],
    partition: Any,
    needs: Sequence[Needs],
    run_id: str,
) -> tuple[dict[str, Any], tuple[Input, ...]]:
    """The arguments that upstream values are for, and what to record about where they came from.

    Raises:
        DependencyNotReady: A value that the step cannot do without is not there.
        IOManagerError: A value cannot be loaded.
    """
    arguments = constants_of(plan.graph, asset)
    if not needs:
        return arguments, ()
    found = await _find(ctx, plan, asset, partition, needs, run_id)
    inputs: list[Input] = []
    for need in needs:
        if need.takes_outcome and need.keys:
            assert need.dependency.parameter is not None
            arguments[need.dependency.parameter] = await _outcome(
                ctx, plan, asset, need, found, run_id, inputs
            )
            continue
        parameter = need.dependency.parameter
        loaded: dict[Any, Any] = {}
        for value, key in zip(need.values, need.keys, strict=True):
            record = found.get(key)
            if record is None:
                continue
            inputs.append(Input(key[0], key[1], record.run_id, record.attempt, record.data_version))
            if parameter is not None:
                loaded[value] = await load_value(ctx, record)
                if plan.graph.assets[key[0]].has_items:
                    loaded[value] = await gathered(asset, need.dependency, loaded[value])
        if parameter is not None and (loaded or (need.many and not need.dependency.optional)):
            arguments[parameter] = loaded if need.many else loaded[need.values[0]]
    return arguments, tuple(inputs)


async def _outcome(
    ctx: RuntimeContext,
    plan: RunPlan,
    asset: Asset[..., Any],
    need: Needs,
    found: Mapping[StepKey, Materialization],
    run_id: str,
    inputs: list[Input],
) -> Outcome[Any]:
    """Whatever became of the one step that is needed; its value, if it has one, is an input."""
    key = need.keys[0]
    name, record = step_label(*key), found.get(key)
    if record is None and plan.number(*key) is not None:
        record = await ctx.store.step(run_id, key)
    if record is None:
        return Outcome(
            Status.NEVER, reason=f"{name} is no part of this run, and has no current value.", name=name
        )
    if record.status not in (Status.SUCCEEDED, Status.REUSED):
        failure = record.failure
        why = None if failure is None else failure.message
        failed = failure if record.status is Status.FAILED else None
        return Outcome(record.status, failure=failed, reason=why, name=name)
    inputs.append(Input(key[0], key[1], record.run_id, record.attempt, record.data_version))
    value = await load_value(ctx, record)
    if plan.graph.assets[key[0]].has_items:
        value = await gathered(asset, need.dependency, value)
    reused = record.run_id != run_id and plan.number(*key) is not None
    return Outcome(Status.REUSED if reused else record.status, value, name=name)


async def _find(
    ctx: RuntimeContext,
    plan: RunPlan,
    asset: Asset[..., Any],
    partition: Any,
    needs: Sequence[Needs],
    run_id: str,
) -> Mapping[StepKey, Materialization]:
    """The values to use: what is current, or what this very run computed if another run has interfered.

    Raises:
        DependencyNotReady: One that the step cannot do without is not there.
    """
    keys = needs[0].keys if len(needs) == 1 else [key for need in needs for key in need.keys]
    found = ctx.recent.of(run_id, keys)
    if len(found) < len(keys):
        found |= await _look_up(ctx, plan, [key for key in keys if key not in found], run_id)
    if len(found) < len(keys) or not all(need.keys for need in needs):
        problem = not_ready(plan.view, asset, partition, needs, found)
        if problem is not None:
            raise problem
    return found


async def _look_up(
    ctx: RuntimeContext, plan: RunPlan, keys: Sequence[StepKey], run_id: str
) -> Mapping[StepKey, Materialization]:
    found = await ctx.store.current(keys)
    strange = [key for key in keys if key not in found or found[key].run_id != run_id]
    if not strange:
        return found
    known = {**found, **await _of_this_run(ctx, plan, strange, found, run_id)}
    await ctx.look_at_origins(known.values(), run_id)
    return {key: record for key, record in known.items() if record is not None}


async def _of_this_run(
    ctx: RuntimeContext,
    plan: RunPlan,
    keys: Sequence[StepKey],
    found: Mapping[StepKey, Materialization],
    run_id: str,
) -> dict[StepKey, Materialization | None]:
    """What this run has of them; None where that is no value: an older one is not for it then.

    One that was skipped may have no record by now: any other end is recorded before this step starts.
    """
    planned = [key for key in keys if plan.number(*key) is not None]
    steps = await ctx.store.steps_of(run_id, planned) if planned else {}
    own: dict[StepKey, Materialization | None] = {}
    for key in planned:
        step = steps.get(key)
        if step is not None and (step.status is Status.SUCCEEDED or (key not in found and step.location)):
            own[key] = step
        elif step is None or step.status is not Status.REUSED:
            own[key] = None
    return own


def not_ready(
    view: PartitionView,
    asset: Asset[..., Any],
    partition: Any,
    needs: Sequence[Needs],
    found: Container[StepKey],
) -> DependencyNotReady | None:
    """What a step lacks of what it cannot do without; None if nothing."""
    missing = [name for need in needs for name in need.missing(found)]
    nowhere = [need for need in needs if need.unreachable]
    if not missing and not nowhere:
        return None
    said = [f"{unreachable(view, asset, partition, need)}." for need in nowhere]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        said.append(f"{shown} {'has' if len(missing) == 1 else 'have'} no value.")
    names = [f"{need.dependency.asset}[none for {partition_label(partition)}]" for need in nowhere]
    return DependencyNotReady(
        f"Asset {asset.name!r} is not ready: {' '.join(said)}",
        [*missing, *names],
        remedies=FIRST if missing else None,
    )


FIRST: Final = Remedies(
    "Materialize upstream first, or use materialize_all.",
    "Materialize upstream first, or add --upstream.",
    'Materialize upstream first, or say `"upstream": true`.',
)


def unreachable(view: PartitionView, asset: Asset[..., Any], partition: Any, need: Needs) -> str:
    """The sentence for a dependency that leads to no partition, without its full stop, and what helps."""
    upstream, parameter = need.dependency.asset, need.dependency.parameter
    keys = view.set_of(upstream)
    mapping = asset.mappings.get(upstream)
    how = "" if mapping is None else f" by {mapping!r}"
    extent = "has none"
    if keys is not None and keys.size:
        first, last = partition_label(keys.key_at(0)), partition_label(keys.key_at(keys.size - 1))
        extent = f"has {first} to {last}"
    remedy = (
        f"give the parameter {parameter!r} a default, which it then receives"
        if parameter is not None
        else f"let the partitions of {upstream!r} begin earlier, or depend on it in another way"
    )
    return (
        f"{partition_label(partition)} leads{how} to no partition of {upstream!r}, which {extent}: {remedy}"
    )
