"""Helpers for tests of users' pipelines and of FlowStone itself."""

from __future__ import annotations

from flowstone.testing.clock import VirtualClock
from flowstone.testing.simulation.simulation import Simulation

__all__ = ["Simulation", "VirtualClock"]
