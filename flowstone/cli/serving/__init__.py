"""A node that lives until it is told to stop: `flowstone serve` and `flowstone worker`.

stop_signals.py    signals, heard even while the event loop is blocked, and the time limit of a stop
node_log.py        a line for each thing worth knowing
http.py            its web pages and its API
node.py            the runtime's life from the first line to the last
"""

from __future__ import annotations

from flowstone.cli.serving.node import serve_node

__all__ = ["serve_node"]
