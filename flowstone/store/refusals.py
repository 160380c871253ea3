"""Why a write is refused, in words that are the same for every store."""

from __future__ import annotations

__all__ = [
    "already_recorded",
    "automation_moved",
    "claim_refused",
    "finished",
    "id_taken",
    "key_taken",
    "overtaken",
    "taken_over",
    "unknown_run",
]


def unknown_run(run_id: str) -> str:
    """Nobody knows the run."""
    return f"no run {run_id} to write to: it was never created, or retention removed it"


def finished(run_id: str) -> str:
    """The run takes nothing more."""
    return f"run {run_id} has finished and takes no more events; start a new run"


def taken_over(run_id: str, epoch: int, given: int) -> str:
    """The run has another owner by now."""
    return f"run {run_id} was taken over: it is at epoch {epoch}, this write at {given}"


def already_recorded(step: str, run_id: str) -> str:
    """The step has its terminal record."""
    return f"{step} already has its record in run {run_id}"


def overtaken(step: str, attempt: int, latest: int) -> str:
    """A later attempt of the step has started."""
    return f"attempt {attempt} of {step} was overtaken by attempt {latest}"


def id_taken(run_id: str) -> str:
    """Another run has the id."""
    return f"another run has the id {run_id}; ask for the run again, it gets a new id"


def claim_refused(owner: str, run_id: str, state: str) -> str:
    """Somebody cannot become the run's owner."""
    return f"{owner} cannot take over run {run_id}: it {state}"


def key_taken(holder: str, key: str) -> str:
    """An unfinished run has the key."""
    return f"run {holder} has the key {key!r} and is not finished; wait for it"


def automation_moved(key: tuple[str, str], version: int, now: int | None) -> str:
    """An automation has changed since the change was decided upon."""
    state = "is not there" if now is None else f"is at version {now}, this change at {version}"
    return f"the automation {key[1]!r} of pipeline {key[0]!r} {state}"
