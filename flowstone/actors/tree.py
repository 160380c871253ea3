"""The live tree as data, and as a drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """

    name: str
    kind: str
    state: str
    restarts: int = 0
    mailbox_depth: int = 0
    children: tuple[ProcessInfo, ...] = ()
    abandoned: tuple[str, ...] = ()
    detail: str = ""

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
