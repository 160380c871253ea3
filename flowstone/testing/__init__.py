"""Helpers for tests of users' pipelines and of FlowStone itself."""
