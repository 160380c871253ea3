"""A PostgreSQL server of our own in a directory: started by the first user, stopped after the last one has left."""

from __future__ import annotations

from flowstone.store.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
