"""What a supervisor cannot do, in one sentence with a remedy; the reasons are OTP's words."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from flowstone.errors import ChildError

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.actors.children import Entry

__all__ = ["already_there", "no_room", "not_found", "not_idle"]

_SHOWN = 20
"""Names in one sentence; a supervisor may have ten thousand."""


def already_there(supervisor: str, entry: Entry) -> ChildError:
    """Started again under a name that is taken: by one that runs, or by one that does not, if only for a moment."""
    name = entry.child.name
    if entry.process is not None:
        return ChildError(
            f"{supervisor} has a child {name} already: use another name.", name, "already_started"
        )
    if entry.active:
        remedy = "which is being restarted: wait for it, or stop_child() and delete_child() it first"
    else:
        remedy = "which does not run: restart_child() it, or delete_child() it first"
    return ChildError(f"{supervisor} has a child {name} already, {remedy}.", name, "already_present")


def no_room(supervisor: str, name: str, limit: float) -> ChildError:
    """One more than `max_children`."""
    return ChildError(
        f"{supervisor} has all the children that max_children={limit} allows, so {name} was not started: "
        f"wait until one ends, or raise the limit.",
        name,
        "max_children",
    )


def not_found(supervisor: str, name: str, names: Collection[str]) -> ChildError:
    """No child of that name."""
    shown = ", ".join(islice(names, _SHOWN)) or "none"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ChildError(f"{supervisor} has no child {name}; it has: {shown}{more}.", name, "not_found")


def not_idle(entry: Entry) -> ChildError:
    """It runs, or is about to."""
    name = entry.child.name
    if entry.process is not None:
        return ChildError(f"{name} is running: stop_child() it first.", name, "running")
    return ChildError(f"{name} is being restarted: stop_child() it first.", name, "restarting")
