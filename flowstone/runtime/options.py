"""What a running runtime goes by, and what it was given by name: checked, without pydantic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowstone.assets.pipeline import Pipeline
from flowstone.masking import masked

__all__ = ["Options", "by_name", "given_pipelines"]


@dataclass(frozen=True)
class Options:
    """The fields of `Settings`, checked; their meaning and units are documented there."""

    store: str = field(default="memory://", repr=False)  # It may hold a password.
    home: str = ".flowstone"
    lease: float = 15.0
    shutdown_timeout: float = 30.0
    cancel_timeout: float = 5.0
    max_concurrency: int = 64
    max_threads: int = 8
    connect_timeout: float = 10.0
    lost_attempts: int = 3
    condition_delay: float = 0.1
    auto_migrate: bool = True
    keep_versions: int = 20
    keep_runs: int = 1_000
    keep_audit: int = 100_000
    log_level: str = "info"


def given_pipelines(given: object) -> tuple[Pipeline, ...]:
    """The pipelines that a runtime was given: one, or several. Raises TypeError if it is something else."""
    if isinstance(given, Pipeline):
        return (given,)
    if isinstance(given, str):
        raise TypeError(
            f"Runtime takes a Pipeline, not the text {masked(given)!r:.100}: "
            f"import its module and pass the pipeline itself."
        )
    if not isinstance(given, Iterable):
        raise TypeError(
            f"Runtime takes a Pipeline or several, not {_kind(given)}: pass the pipeline that defines your assets."
        )
    found = tuple(given)
    for each in found:
        if not isinstance(each, Pipeline):
            raise TypeError(
                f"Runtime takes a Pipeline or several, and {_kind(each)} is not one: pass the pipelines themselves."
            )
    return found


def _kind(given: object) -> str:
    if given is None:
        return "None"
    if isinstance(given, type):
        return f"the class {given.__name__}"
    name = type(given).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def by_name(option: str, given: object) -> dict[str, Any]:
    """What a runtime was given by name; nothing if that is None.

    Whether it is empty does not say whether it was meant: an IO manager or a pool without contents is false too.

    Raises:
        TypeError: It is something else than a mapping of names.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        name = "default" if option == "io" else "name"
        raise TypeError(
            f"Runtime({option}=…) takes a dict by name, {option}={{{name!r}: …}}, not {_kind(given)}."
        )
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"Runtime({option}=…) takes a dict by name, and {name!r} is not a str.")
    return dict(given)
