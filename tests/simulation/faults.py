"""What may go wrong in a world, and how often: each seed has a random half of it.

before       a call to the database breaks off before it is done
after        it is done, and its answer is lost
slow         it takes up to a second and a half
outage       the database is away for a while, for one node or for all
deaf         notifications are lost
echo         notifications come twice
torn         an IO manager breaks off in the middle of a value
kill         a node is killed, as by `kill -9`, and another one is started in its place
pause        a node is stopped, as by SIGSTOP, often for longer than its lease
stop         a node stops politely, and another one is started in its place
clock        the wall clock of a node, or of the database, is set by up to two hours
raises       the function of an asset raises
"""

from __future__ import annotations

from collections import Counter

__all__ = ["KINDS", "Faults"]

_CHANCES = {
    "before": 0.03,
    "after": 0.03,
    "slow": 0.02,
    "deaf": 0.3,
    "echo": 0.2,
    "torn": 0.05,
    "raises": 0.1,
}
KINDS = (
    "before",
    "after",
    "slow",
    "outage",
    "deaf",
    "echo",
    "torn",
    "kill",
    "pause",
    "stop",
    "clock",
    "raises",
)


class Faults:
    """The faults of one seed.

    Args:
        random: Chooses them.

    Attributes:
        kinds: What may happen.
        on: Whether anything does; in the end nothing does any more.
        injected: How often each has happened.
    """

    def __init__(self, random):
        self._random = random
        self.kinds = [kind for kind in KINDS if random.random() < 0.5]
        self.on = True
        self.injected = Counter()

    def strikes(self, kind):
        """Whether this fault happens here and now."""
        if not self.on or kind not in self.kinds or self._random.random() >= _CHANCES[kind]:
            return False
        self.injected[kind] += 1
        return True

    def happened(self, kind):
        """It was made to happen."""
        self.injected[kind] += 1

    @property
    def of_nodes(self):
        """Those that somebody has to bring about."""
        return [kind for kind in self.kinds if kind not in _CHANCES]
