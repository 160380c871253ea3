"""Work that is counted, not timed: what a busy machine does not change."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["counted_calls", "counted_lines", "most_memory"]


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """The calls of functions, Python's and C's, that this thread makes in the block: one number in a list."""
    calls = [0]

    def count(_, event, __):
        calls[0] += event in {"call", "c_call"}

    gc.collect()
    gc.disable()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        gc.enable()


@contextmanager
def counted_lines() -> Iterator[list[int]]:
    """The lines of functions called in the block that this thread executes, loops included, likewise."""
    lines, before = [0], sys.gettrace()

    def count(_, event, __):
        lines[0] += event == "line"
        return count

    gc.collect()
    gc.disable()
    sys.settrace(count)
    try:
        yield lines
    finally:
        sys.settrace(before)
        gc.enable()


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """The most bytes that Python has at a time beyond what it has before the block, likewise."""
    most = [0]
    tracemalloc.start()
    try:
        yield most
        most[0] = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
