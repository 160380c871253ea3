"""A PostgreSQL server of our own: started in a directory by whoever comes first, stopped by whoever leaves last."""

from __future__ import annotations

from flowstone.store.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
