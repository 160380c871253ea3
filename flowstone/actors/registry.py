"""Names for ids that are known only at run time. Everything else gets its references passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.actors.spawn import OWNER
from flowstone.errors import ActorDown, NameTaken

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from flowstone.actors.process import Process
    from flowstone.actors.ref import Ref

__all__ = ["Registry"]


class _Entry(NamedTuple):
    """Who has a key."""

    key: Hashable
    ref: Ref[Any]
    process: Process


class Registry:
    """Unique keys to references. A plain object: make one, pass it to whoever needs it.

    A key belongs to one incarnation. It is free again when that ends, before monitors and supervisors learn
    of the end, so that a restarted actor can register under the same key in its `on_start`.

    Keys are compared by value and type, within tuples and frozensets as well: 1, True and 1.0 are three keys.
    """

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}
        self._keys: dict[Process, dict[Hashable, None]] = {}

    def register(self, key: Hashable, ref: Ref[Any]) -> None:
        """Give the current incarnation of `ref` a name; an actor does it for itself with `me.ref`.

        Raises:
            NameTaken: A living one has that key.
            ActorDown: Nothing runs behind `ref`.
        """
        process = ref._process
        if process is None:
            raise ActorDown(f"{ref.name} is not running and cannot be registered.", ref.name, ref._last)
        exact = _exact(key)
        holder = self._entries.get(exact)
        if holder is not None:
            raise NameTaken(f"{key!r} is registered by {holder.ref.name}: look it up instead.", key)
        self._entries[exact] = _Entry(key, ref, process)
        self._keys.setdefault(process, {})[exact] = None
        process.releases[self] = self._release_all

    def unregister(self, key: Hashable, ref: Ref[Any] | None = None) -> None:
        """Free a key of the caller's own; harmless if nobody has it, and if somebody else has.

        Args:
            key: As registered.
            ref: Whose key it is. Default: the actor that calls, itself or in a task that it has created. Code
                that runs outside of any actor, such as the body of an `async with`, has no keys of its own; it
                frees the key whoever has it.
        """
        exact = _exact(key)
        holder = self._entries.get(exact)
        if holder is None:
            return
        caller = OWNER.get() if ref is None else ref._process
        if holder.process is caller or (ref is None and caller is None):
            self._release(exact, holder.process)

    def lookup(self, key: Hashable) -> Ref[Any] | None:
        """The reference under that key, or None."""
        entry = self._entries.get(_exact(key))
        return None if entry is None else entry.ref

    def __contains__(self, key: Hashable) -> bool:
        return _exact(key) in self._entries

    def __iter__(self) -> Iterator[Hashable]:
        return iter([entry.key for entry in self._entries.values()])

    def __len__(self) -> int:
        return len(self._entries)

    def _release(self, exact: Hashable, process: Process) -> None:
        del self._entries[exact]
        held = self._keys[process]
        del held[exact]
        if not held:
            del self._keys[process]
            process.releases.pop(self, None)  # Neither remembers the other.

    def _release_all(self, process: Process) -> None:
        """A process has ended."""
        for exact in self._keys.pop(process, ()):
            del self._entries[exact]


def _exact(key: Hashable) -> Hashable:
    """What stands for a key in a dict: equal only to that of a key which is equal and of the same types."""
    kind = type(key)
    if isinstance(key, tuple):
        return kind, tuple(_exact(part) for part in key)
    if isinstance(key, frozenset):
        return kind, frozenset(_exact(part) for part in key)
    return kind, key
