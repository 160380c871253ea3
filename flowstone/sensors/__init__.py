"""Sensors that are ready to use: what lands somewhere is found, each object once.

files.py        FileSensor: files of a folder
objects.py      ObjectSensor: objects of an object store; below both, from the top down
  landing.py      a look: what there is, what of it is new, and what is asked for
  asking.py       from an object to a run
  memory.py       what was seen, exactly and in little room
  patterns.py     which files a pattern means, and nothing outside of its folder
  found.py        an object as people are given it
"""

from __future__ import annotations

from flowstone.sensors.files import FileSensor
from flowstone.sensors.found import FoundObject
from flowstone.sensors.objects import ObjectSensor

__all__ = ["FileSensor", "FoundObject", "ObjectSensor"]
