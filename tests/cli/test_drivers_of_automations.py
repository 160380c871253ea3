"""On which nodes the automations of a pipeline may act, as the nodes themselves say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from flowstone.cli.drivers import Drivers
from tests.cli.test_database_checks import node


def old(**about):
    """A node that joined an hour ago."""
    made = node(**about)
    return replace(made, joined_at=made.beat_at - timedelta(hours=1))


@pytest.mark.parametrize(
    ("nodes", "none"),
    [
        ([], True),
        ([old()], True),
        ([old(automates=("other",))], True),
        ([old(automates=("shop",), gone=True)], True),
        ([old(automates=("shop",), age=60.0)], True),
        ([old(automates=("shop",))], False),
        ([old(), old(pipelines=(), automates=("shop",))], False),
        ([node()], False),
        ([node(pipelines=("other",))], True),
    ],
)
def test_a_node_that_only_takes_runs_does_not_automate(nodes, none):
    """One that has just joined may not have said yet what it does."""
    assert Drivers(nodes).none_automates("shop") is none


def test_a_store_of_one_process_is_automated_by_it():
    """Nobody else can be there; where it is not known whether it is, nothing is said."""
    assert Drivers(None, in_use=False).none_automates("shop")
    assert not Drivers(None, in_use=True).none_automates("shop")
    assert not Drivers(None).none_automates("shop")
