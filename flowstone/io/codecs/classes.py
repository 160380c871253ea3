"""Finding the user's classes again when a value is loaded, without ever importing anything.

A file says `shop.models:Order`. Importing that name would let whoever can write a file, or a row of the run
store, run any importable code; so a class is only ever looked up among those this process has anyway: the
ones given with `models=[...]`, the modules already imported, and the ones this IO manager has itself stored.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from flowstone.io.codecs.codec import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Classes"]


class Classes:
    """The classes one IO manager may rebuild values of.

    Args:
        models: Classes that are found first, whatever `sys.modules` says.
    """

    def __init__(self, models: Iterable[type] = ()) -> None:
        self._given = {_name(model): model for model in models}
        # Weak: a class defined in a function may go when its function's caller is done with it.
        self._stored: WeakValueDictionary[str, type] = WeakValueDictionary()
        self._shapes: WeakKeyDictionary[type, str] = WeakKeyDictionary()

    def name(self, cls: type) -> str:
        """The name under which `find` finds `cls`, in this process or another."""
        name = _name(cls)
        self._stored[name] = cls
        return name

    def shape(self, cls: type, describe: Callable[[type], str]) -> str:
        """What `describe` says of a class, asked once: a value may hold a million instances."""
        found = self._shapes.get(cls)
        if found is None:
            found = self._shapes[cls] = describe(cls)
        return found

    def find(self, name: str, is_wanted: Callable[[type], bool]) -> type:
        """The class of that name that satisfies `is_wanted`.

        Raises:
            CodecError: There is none in this process.
        """
        for candidate in (
            self._given.get(name),
            _imported(name),
            self._stored.get(name),
            self._renamed(name),
        ):
            if isinstance(candidate, type) and is_wanted(candidate):
                return candidate
        short = name.rpartition(":")[2].rpartition(".")[2]
        raise CodecError(
            f"its class {name.replace(':', '.')} is not in this process, and loading imports nothing",
            f"import its module first, or pass models=[{short}] to the IO manager",
        )

    def _renamed(self, name: str) -> type | None:
        """A given class, where the file was written by the very script that is now a module."""
        module, _, qualname = name.partition(":")
        if module != "__main__":
            return None
        return next((cls for cls in self._given.values() if cls.__qualname__ == qualname), None)


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _imported(name: str) -> object:
    # `vars`, not `getattr`: a module's or a metaclass's `__getattr__` may import or do anything else.
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None:
        return None
    found: object = module
    for part in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found
