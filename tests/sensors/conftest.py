"""Sensors on a clock that moves only when a test says so."""

from __future__ import annotations

import pytest

from flowstone.testing.clock import VirtualClock


@pytest.fixture
def clock():
    """2025-01-01, midnight in UTC."""
    return VirtualClock()
