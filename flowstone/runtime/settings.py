"""The settings of a runtime: from keyword arguments, else from `FLOWSTONE_*` in the environment, else these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flowstone.masking import masked
from flowstone.runtime.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Settings", "merged_settings"]

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """What a runtime may be told; every field can be set by `FLOWSTONE_<NAME>` in the environment.

    Attributes:
        store: Where runs are remembered: `memory://`, `file://DIR`, …
        home: Folder for what the command line keeps.
        lease: Seconds a node's heartbeat lease lasts.
        shutdown_timeout: Seconds that running work gets to finish when the runtime stops; then it is
            cancelled.
        cancel_timeout: Seconds from the one cancel an attempt gets until it is killed.
        max_concurrency: Steps of all runs that may run at a time.
        max_threads: Synchronous assets that may run at a time.
        connect_timeout: Seconds to open the store before `StoreUnavailable`.
        lost_attempts: Attempts that may be lost to dying processes before a step fails.
        auto_migrate: Whether an empty or older database is migrated on entry.
        keep_versions: Superseded values kept per asset and partition; older ones are deleted.
        keep_runs: Finished runs kept; older ones are forgotten.
        log_level: Level of FlowStone's own log on the command line.
    """

    model_config = SettingsConfigDict(
        env_prefix="FLOWSTONE_", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    store: str = Options.store
    home: str = Options.home
    lease: PositiveSeconds = Options.lease
    shutdown_timeout: Seconds = Options.shutdown_timeout
    cancel_timeout: Seconds = Options.cancel_timeout
    max_concurrency: Count = Options.max_concurrency
    max_threads: Count = Options.max_threads
    connect_timeout: PositiveSeconds = Options.connect_timeout
    lost_attempts: Count = Options.lost_attempts
    auto_migrate: bool = Options.auto_migrate
    keep_versions: Count = Options.keep_versions
    keep_runs: Count = Options.keep_runs
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The fields for `repr` and `str`; a URL without its password."""
        for name, value in super().__repr_args__():
            yield name, masked(value) if isinstance(value, str) else value


def merged_settings(settings: Settings | None, options: dict[str, Any]) -> Settings:
    """The settings with some fields replaced. Raises ValueError, in one sentence, for what is wrong."""
    base = {} if settings is None else settings.model_dump()
    try:
        return Settings(**{**base, **options})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            raise ValueError(f"There is no option {name!r}: Runtime takes {known}.") from None
        raise ValueError(f"{name}={masked(repr(first['input'])):.100}: {first['msg']}.") from None
