"""What OTP says happens when a child ends: the expected outcome of each cell of the conformance table.

Three children a, b, c run in this order under one supervisor and b ends. The rules are those of the Erlang
documentation (`supervisor`, sections "Supervision strategies", "Child specification"), in one function.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

RESTARTS = ("permanent", "transient", "temporary")
REASONS = ("normal", "shutdown", "shutdown with a reason", "killed", "crashed")
STRATEGIES = ("one_for_one", "rest_for_one", "one_for_all")
SHUTDOWNS = (5.0, math.inf, "kill")


@dataclass(frozen=True)
class Cell:
    """One row of the table."""

    restart: str
    reason: str
    strategy: str
    shutdown: float | str

    def __str__(self) -> str:
        return f"{self.restart}-{self.reason}-{self.strategy}-{self.shutdown}".replace(" ", "_")


CELLS = [Cell(*cell) for cell in product(RESTARTS, REASONS, STRATEGIES, SHUTDOWNS)]

NAMED = (
    *(f"sup_start_{case}" for case in ("normal", "ignore_init", "ignore_child", "ignore_temporary_child")),
    *(f"sup_start_{case}" for case in ("error_return", "fail")),
    *(f"sup_stop_{case}" for case in ("infinity", "timeout", "brutal_kill")),
    *(f"{restart}_{reason}" for restart in RESTARTS for reason in ("normal", "shutdown", "abnormal")),
    *(
        f"{strategy}{case}"
        for strategy in STRATEGIES
        for case in ("", "_escalation", "_other_child_fails_restart")
    ),
    *(f"simple_one_for_one{case}" for case in ("", "_escalation", "_shutdown")),
    *(
        "temporary_bystander",
        "multiple_restarts",
        "child_unlink",
        "tree",
        "count_children",
        "hanging_restart_loop",
        "child_adm",
        "child_specs",
    ),
)
"""Cases of OTP's own supervisor suite; the docstring of a test names the one that it follows."""


def reported(cell: Cell) -> bool:
    """Whether the end is an error that the supervisor reports: that of a permanent child always is."""
    return cell.restart == "permanent" or cell.reason in {"killed", "crashed"}


def expected(cell: Cell) -> list[str]:
    """Ends and starts in order, from the end of b to the quiet after it, then those of the shutdown."""
    abnormal = cell.reason in {"killed", "crashed"}
    restarted = cell.restart == "permanent" or (cell.restart == "transient" and abnormal)
    stopped = "killed" if cell.shutdown == "kill" else "shutdown"
    if not restarted:
        after, alive = [], ["a", "c"]
    else:
        group = {"one_for_one": ["b"], "rest_for_one": ["b", "c"], "one_for_all": ["a", "b", "c"]}[
            cell.strategy
        ]
        ends = [f"end {name}: {stopped}" for name in reversed(group) if name != "b"]
        after, alive = ends + [f"start {name}" for name in group], ["a", "b", "c"]
    return [*after, *(f"end {name}: {stopped}" for name in reversed(alive))]
