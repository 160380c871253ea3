"""The settings of a runtime: from keyword arguments, else from `FLOWSTONE_*` in the environment, else these."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowstone.assets.suggest import did_you_mean
from flowstone.masking import masked
from flowstone.runtime.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Settings", "merged_settings"]

# The descriptions end a sentence: "lease takes …".
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a number of seconds of at least 0")]
PositiveSeconds = Annotated[
    float, Field(gt=0, allow_inf_nan=False, description="a number of seconds of more than 0")
]
Count = Annotated[int, Field(ge=1, le=2**31 - 1, description="a whole number from 1 to 2,147,483,647")]
Switch = Annotated[bool, Field(description="true or false")]
Words = Annotated[str, Field(description="text")]
Level = Annotated[
    Literal["debug", "info", "warning", "error"], Field(description="debug, info, warning or error")
]

_TYPES: Final[Mapping[Any, tuple[type, ...]]] = MappingProxyType(
    {int: (int,), float: (int, float), bool: (bool,)}
)


class Settings(BaseSettings):
    """What a runtime may be told; every field can be set by `FLOWSTONE_<NAME>` in the environment.

    Text is converted in the environment alone: `max_threads="8"` raises ValueError, as does a number that is out of
    range, in one sentence.

    Attributes:
        store: Where runs are remembered: `memory://`, `file://DIR`, …
        home: Folder of the command line, where its default store is. It goes by `FLOWSTONE_HOME` alone; given in
            code it changes nothing, because a runtime in code names its store.
        lease: Seconds a node's heartbeat lease lasts.
        shutdown_timeout: Seconds that running work gets to finish when the runtime stops; then it is
            cancelled.
        cancel_timeout: Seconds from the one cancel an attempt gets until it is killed.
        max_concurrency: Steps of all runs that may run at a time.
        max_threads: Synchronous assets that may run at a time.
        connect_timeout: Seconds to open the store before `StoreUnavailable`.
        lost_attempts: Attempts that may be lost to dying processes before a step fails.
        condition_delay: Seconds for which changes are gathered before the conditions of assets are looked at.
        auto_migrate: Whether an empty or older database is migrated on entry.
        keep_versions: Superseded values kept per asset and partition; older ones are deleted.
        keep_runs: Finished runs kept; older ones are forgotten.
        keep_audit: Entries of the audit log kept; older ones are forgotten. A store in memory keeps at most 10,000.
        log_level: Lowest level of what is kept of the logs of attempts, and of what the command line shows.
    """

    model_config = SettingsConfigDict(
        env_prefix="FLOWSTONE_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    store: Words = Options.store
    home: Words = Options.home
    lease: PositiveSeconds = Options.lease
    shutdown_timeout: Seconds = Options.shutdown_timeout
    cancel_timeout: Seconds = Options.cancel_timeout
    max_concurrency: Count = Options.max_concurrency
    max_threads: Count = Options.max_threads
    connect_timeout: PositiveSeconds = Options.connect_timeout
    lost_attempts: Count = Options.lost_attempts
    condition_delay: Seconds = Options.condition_delay
    auto_migrate: Switch = Options.auto_migrate
    keep_versions: Count = Options.keep_versions
    keep_runs: Count = Options.keep_runs
    keep_audit: Count = Options.keep_audit
    log_level: Level = "info"

    if not TYPE_CHECKING:  # A type checker sees the fields.

        def __init__(self, **given: Any) -> None:
            """Take fields by name. Raises ValueError, in one sentence, for what is wrong."""
            _refuse_other_types(given)
            try:
                super().__init__(**given)
            except ValidationError as error:
                raise ValueError(_problem(error, given)) from None

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The fields for `repr` and `str`; a URL without its password."""
        for name, value in super().__repr_args__():
            yield name, masked(value) if isinstance(value, str) else value


def merged_settings(settings: Settings | None, options: dict[str, Any]) -> Settings:
    """The settings with some fields replaced. Raises ValueError, in one sentence, for what is wrong."""
    base = {} if settings is None else settings.model_dump()
    return Settings(**{**base, **options})


def _refuse_other_types(given: dict[str, Any]) -> None:
    """Raise ValueError for an argument that a field would have to convert: only the environment is text."""
    for name, value in given.items():
        field = Settings.model_fields.get(name)
        types = None if field is None else _TYPES.get(field.annotation)
        if types is not None and (
            not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
        ):
            raise ValueError(_sentence(name, value))


def _problem(error: ValidationError, given: dict[str, Any]) -> str:
    """What is wrong, named as whoever said it knows it: the argument, or the variable of the environment."""
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = ", ".join(Settings.model_fields)
        hint = did_you_mean(name, Settings.model_fields) or f" There are: {known}."
        return f"There is no setting {name!r}.{hint}"
    return _sentence(name if name in given else f"FLOWSTONE_{name.upper()}", first["input"])


def _sentence(named: str, value: object) -> str:
    field = Settings.model_fields[named.removeprefix("FLOWSTONE_").lower()]
    return f"{named} takes {field.description}, not {masked(repr(value)):.100}."
