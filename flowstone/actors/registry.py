"""Names for ids that are known only at run time. Everything else gets its references passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.errors import ActorDown, NameTaken

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from flowstone.actors.process import Process
    from flowstone.actors.ref import Ref

__all__ = ["Registry"]


class Registry:
    """Unique keys to references. A plain object: make one, pass it to whoever needs it.

    A key belongs to one incarnation. It is free again when that ends, before monitors and supervisors hear
    of the end, so that a restarted actor can register under the same key in its `on_start`.
    """

    def __init__(self) -> None:
        self._entries: dict[Hashable, tuple[Ref[Any], Process]] = {}

    def register(self, key: Hashable, ref: Ref[Any]) -> None:
        """Give the current incarnation of `ref` a name; an actor does it for itself with `me.ref`.

        Raises:
            NameTaken: A living one has that key.
            ActorDown: Nothing runs behind `ref`.
        """
        process = ref._process
        if process is None:
            raise ActorDown(f"{ref.name} is not running and cannot be registered.", ref.name, ref._last)
        holder = self._entries.get(key)
        if holder is not None:
            raise NameTaken(f"{key!r} is registered by {holder[0].name}: look it up instead.", key)
        self._entries[key] = (ref, process)
        process.releases.append(lambda: self._release(key, process))

    def unregister(self, key: Hashable) -> None:
        """Free a key; harmless if nobody has it."""
        self._entries.pop(key, None)

    def lookup(self, key: Hashable) -> Ref[Any] | None:
        """The reference under that key, or None."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Hashable]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def _release(self, key: Hashable, process: Process) -> None:
        entry = self._entries.get(key)
        if entry is not None and entry[1] is process:
            del self._entries[key]
