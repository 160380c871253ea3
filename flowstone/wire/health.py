"""How well a node is."""

from __future__ import annotations

from flowstone.masking import masked
from flowstone.runtime.client.health import Health
from flowstone.wire.model import Given, Model

__all__ = ["HealthModel", "HealthQuery"]


class HealthQuery(Given):
    """How it is asked."""

    ask: bool = True
    """Whether resources and IO managers are asked now. False: what they said last."""


class HealthModel(Model):
    """How well the node is that answers."""

    status: str
    """`ok`, or `degraded` if anything does not work."""
    problems: list[str]
    """What does not work."""
    node: str
    """Its id."""
    runs: int
    """Live runs."""
    steps: int
    """Steps that hold a slot."""
    waiting: int
    """Steps that wait for a slot."""
    draining: bool
    """Whether new runs are refused."""
    resources: dict[str, str | None]
    """What is wrong with each resource, or null."""
    io: dict[str, str | None]
    """What is wrong with each IO manager, or null."""
    store: str | None = None
    """What is wrong with the store."""
    retried: dict[str, str]
    """Runs that had to be stopped and are tried again, and why."""
    automations: dict[str, str]
    """What does not work of automations that act here, by name."""
    abandoned: list[str]
    """Steps and threads that could not be stopped and still run."""

    @classmethod
    def of(cls, health: Health, node: str) -> HealthModel:
        """As the API shows it."""
        return cls(
            status=health.status,
            problems=[masked(each) for each in health.problems],
            node=node,
            runs=health.runs,
            steps=health.steps,
            waiting=health.waiting,
            draining=health.draining,
            resources={name: _masked(each) for name, each in health.resources.items()},
            io={name: _masked(each) for name, each in health.io.items()},
            store=_masked(health.store),
            retried={name: masked(each) for name, each in health.retried.items()},
            automations={name: masked(each) for name, each in health.automations.items()},
            abandoned=list(health.abandoned),
        )

    def as_record(self) -> Health:
        """What it shows."""
        return Health(
            self.resources,
            self.io,
            self.store,
            self.retried,
            self.automations,
            tuple(self.abandoned),
            self.runs,
            self.steps,
            self.waiting,
            self.draining,
        )


def _masked(problem: str | None) -> str | None:
    return None if problem is None else masked(problem)
