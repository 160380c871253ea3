"""MODULE:PIPELINE: from the words on the command line to a pipeline and what is defined beside it.

Beside the pipeline a module may define `io` (name -> IO manager) and `resources` (name -> resource).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flowstone.assets import Asset, Pipeline
from flowstone.cli.importing import import_place
from flowstone.cli.problem import CommandError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from flowstone.io import IOManager

__all__ = ["Loaded", "load"]


@frozen
class Loaded:
    """A pipeline as the command line found it.

    Attributes:
        target: The words that found it, completed: `MODULE:PIPELINE`.
        pipeline: The pipeline.
        io: IO managers defined beside it, by name.
        resources: Resources defined beside it, by name.
    """

    target: str
    pipeline: Pipeline
    io: Mapping[str, IOManager] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)


def load(target: str) -> Loaded:
    """Import the module and pick the pipeline; raises `CommandError` that says what to write instead.

    Without words the pipelines are a server's, and nothing of them is here.
    """
    if not target:
        return Loaded("", Pipeline("server"))
    place, attribute = _split(target)
    module = import_place(place)
    name, pipeline = _named(module, place, attribute) if attribute else _only(module, place)
    return Loaded(
        target=f"{place}:{name}",
        pipeline=pipeline,
        io=_table(module, place, "io"),
        resources=_table(module, place, "resources"),
    )


def _split(target: str) -> tuple[str, str]:
    place, colon, attribute = target.rpartition(":")
    if not colon or not all(part.isidentifier() for part in attribute.split(".")):
        return target.removesuffix(":"), ""
    return place, attribute


def _pipelines(module: ModuleType) -> dict[str, Pipeline]:
    found: dict[int, str] = {}
    for name, value in vars(module).items():
        if isinstance(value, Pipeline) and not name.startswith("_"):
            found.setdefault(id(value), name)
    return {name: getattr(module, name) for name in found.values()}


def _only(module: ModuleType, place: str) -> tuple[str, Pipeline]:
    pipelines = _pipelines(module)
    if len(pipelines) == 1:
        return next(iter(pipelines.items()))
    if not pipelines:
        raise CommandError(
            f"{place} defines no Pipeline.",
            "Define one at module level, such as `pipeline = Pipeline('sales')`.",
        )
    names = ", ".join(f"{place}:{name}" for name in pipelines)
    raise CommandError(f"{place} defines {len(pipelines)} pipelines.", f"Name the one you mean: {names}.")


def _named(module: ModuleType, place: str, attribute: str) -> tuple[str, Pipeline]:
    value: Any = module
    for part in attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise CommandError(
                f"{place} has no {attribute!r}.", _suggestion(module, place, attribute)
            ) from None
    if isinstance(value, Pipeline):
        return attribute, value
    remedy = _suggestion(module, place, attribute)
    kind = "an asset" if isinstance(value, Asset) else f"{_article(type(value).__name__)}"
    raise CommandError(f"{place}:{attribute} is {kind}, not a Pipeline.", remedy)


def _suggestion(module: ModuleType, place: str, attribute: str) -> str:
    pipelines = list(_pipelines(module))
    near = difflib.get_close_matches(attribute, pipelines, n=1)
    if near or len(pipelines) == 1:
        return f"Did you mean {place}:{(near or pipelines)[0]}?"
    if pipelines:
        return f"Its pipelines are {', '.join(f'{place}:{name}' for name in pipelines)}."
    return "It defines no Pipeline: make one at module level, such as `pipeline = Pipeline('sales')`."


def _article(name: str) -> str:
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _table(module: ModuleType, place: str, name: str) -> Mapping[str, Any]:
    """The module's `io` or `resources`; a module of that name (`import io`) is not meant."""
    value = getattr(module, name, None)
    if value is None or isinstance(value, ModuleType):
        return {}
    if not isinstance(value, Mapping):
        raise CommandError(
            f"{place}:{name} is {_article(type(value).__name__)}, not a dict of names.",
            f"Write it as `{name} = {{'name': ...}}`, or rename it if it means something else.",
        )
    return value
