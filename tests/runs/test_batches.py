"""What is done for many steps at a time, and what is counted of it meanwhile."""

from __future__ import annotations

from flowstone.runs.batches import _MOST, Batches
from flowstone.runs.commands import CheckSteps, RecordCancelled, RecordSkipped


def test_what_is_not_ordered_or_looked_up_is_held() -> None:
    """Each of the five kinds counts; what is being recorded is busy and not held."""
    batches = Batches()
    assert (batches.held, batches.busy) == (0, False)
    batches.to_skip.append((7, 1))
    batches.to_cancel.extend((8, 9, 10))
    assert batches.held == 4
    batches.to_check.update(dict.fromkeys(range(2)))
    assert batches.held == 6
    orders: list[object] = []
    batches.order(orders)  # type: ignore[arg-type]  # a list of anything takes commands
    assert orders == [CheckSteps((0, 1)), RecordSkipped(((7, 1),)), RecordCancelled((8, 9, 10))]
    assert (batches.held, batches.busy, batches.checking) == (2, True, (0, 1))
    batches.drop_checks((3, 4, 5))
    assert batches.held == 5
    assert batches.checked(0)
    assert not batches.checked(0)
    assert batches.checked(4)
    assert batches.needed((1,)) == [1, 3, 5]
    assert (batches.held, batches.busy) == (0, True)
    assert [batches.recorded(step) for step in (7, 8, 9, 10, 10)] == [True] * 4 + [False]
    assert not batches.busy


def test_a_batch_follows_when_less_than_one_is_unconfirmed() -> None:
    """So many steps as a batch has may be on their way before another is ordered."""
    batches = Batches()
    batches.to_skip.extend((step, 0) for step in range(2 * _MOST + 1))
    orders: list[object] = []
    batches.order(orders)  # type: ignore[arg-type]  # as above
    assert [len(order.steps) for order in orders if isinstance(order, RecordSkipped)] == [_MOST]
    assert batches.recorded(0)
    orders.clear()
    batches.order(orders)  # type: ignore[arg-type]  # as above
    assert [len(order.steps) for order in orders if isinstance(order, RecordSkipped)] == [_MOST]
    for step in range(1, _MOST):
        batches.recorded(step)
    orders.clear()
    batches.order(orders)  # type: ignore[arg-type]  # as above
    assert orders == []
    batches.recorded(_MOST)
    batches.order(orders)  # type: ignore[arg-type]  # as above
    assert orders == [RecordSkipped(((2 * _MOST, 0),))]


def test_dropped_checks_are_those_that_were_not_ordered() -> None:
    batches = Batches()
    batches.to_check.update(dict.fromkeys((1, 2)))
    assert batches.drop_checks(()) == [1, 2]
    assert batches.held == 0
