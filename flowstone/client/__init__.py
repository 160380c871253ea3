"""Ask a FlowStone server from anywhere: the calls of `Runtime`, over HTTP. The extra `http`.

How the files lie; each imports only from those above it:

    address.py          where a server is
    problems.py         from an answer that something is wrong to the exception for it
    transport.py        requests: sent, sent again where that is safe
    messages.py         server-sent events
    arguments.py        what callers pass, as it goes over HTTP
    connected.py        what every part of a client has
    feed.py             what happens, followed over any number of connections
    log_lines.py        the log of a run
    plan.py             what a run would do
    runs.py             one run from outside: what its handle asks
    asking.py ...       the calls: reading, then starting, deciding, operating
    client.py           `Client`, which has them all
"""

from __future__ import annotations

from flowstone.client.client import Client

__all__ = ["Client"]
