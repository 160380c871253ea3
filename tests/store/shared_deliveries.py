"""The outbox of a `SharedMemory`, by one connection: of what is new in it all nodes are told."""

from __future__ import annotations

from contextlib import contextmanager

from flowstone.store.memory_deliveries import MemoryDeliveries

__all__ = ["SharedDeliveries"]


class SharedDeliveries(MemoryDeliveries):
    """The outbox."""

    def __init__(self, store):
        super().__init__(lambda: store.shared.history, store._change)
        self._cluster = store

    async def follow(self, pipeline, followers):
        """Also where that says nothing new: what is gone for long is forgotten whenever somebody asks."""
        self._cluster.shared.history.forget_gone_automations()
        await super().follow(pipeline, followers)

    @contextmanager
    def watch(self, heard):
        def told(notification):
            if notification.kind == "deliveries":
                heard(notification.subject)

        with self._cluster.watch(told):
            yield
