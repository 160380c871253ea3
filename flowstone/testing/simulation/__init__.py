"""Simulation: the real runtime on a loop whose time is virtual and whose order is chosen."""
