"""Stores that the important routes are asked on."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["memory", "postgres"])
def store_url(request) -> str:
    """The URL of a new store: in memory, and a database."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")
