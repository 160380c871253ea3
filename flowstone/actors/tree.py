"""The live tree as data, and as a drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

__all__ = ["ProcessInfo"]


@frozen
class ProcessInfo:
    """One process at one instant; its `repr` draws the tree below it.

    Attributes:
        name: The child's name.
        kind: `supervisor`, `actor`, `runnable`, `tasks` or `task`.
        state: `starting`, `running`, `restarting`, `stopping`, `stopped` or `ignored`.
        restarts: How often its supervisor has restarted it.
        mailbox_depth: Messages that wait; 0 where there is no mailbox.
        children: The processes below, in start order.
        abandoned: Names of tasks that could not be stopped and still run.
        detail: A few words on what it is or does.
        restarted_at: When its supervisor restarted it last (aware, UTC); None if it never has.
        crash: Why it had to be restarted then; empty if it was restarted because another process had to be.
        max_restarts: Of a supervisor, how many restarts it allows ...
        within: ... in so many seconds; None of others, as is `max_restarts`.
        recent_restarts: Of a supervisor, how many it counts at this instant.
        restart_times: When its last restarts were (aware, UTC), the oldest first; at most 20 are remembered.
    """

    name: str
    kind: str
    state: str
    restarts: int = 0
    mailbox_depth: int = 0
    children: tuple[ProcessInfo, ...] = ()
    abandoned: tuple[str, ...] = ()
    detail: str = ""
    restarted_at: datetime | None = None
    crash: str = ""
    max_restarts: int | None = None
    within: float | None = None
    recent_restarts: int = 0
    restart_times: tuple[datetime, ...] = ()

    def __repr__(self) -> str:
        return "\n".join(self._draw("", ""))

    def walk(self) -> Iterator[ProcessInfo]:
        """This process and all below it, depth first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, name: str) -> ProcessInfo | None:
        """The first process of that name, depth first."""
        return next((process for process in self.walk() if process.name == name), None)

    def _draw(self, first: str, rest: str) -> Iterator[str]:
        yield first + self._line()
        last = len(self.children) - 1
        for position, child in enumerate(self.children):
            here, below = ("└─ ", "   ") if position == last else ("├─ ", "│  ")
            yield from child._draw(rest + here, rest + below)

    def _line(self) -> str:
        facts = [f"{self.name}  {self.kind}, {self.state}"]
        if self.restarts:
            facts.append(f"{self.restarts} restart{'s' if self.restarts > 1 else ''}")
        if self.mailbox_depth:
            facts.append(f"{self.mailbox_depth} waiting")
        if self.detail:
            facts.append(self.detail)
        if self.abandoned:
            facts.append(f"abandoned: {', '.join(self.abandoned)}")
        return ", ".join(facts)
