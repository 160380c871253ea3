"""Finding the user's classes again when a value is loaded, without ever importing anything.

A file says `shop.models:Order`. Importing that name would let whoever can write a file, or a row of the run
store, run any importable code; so a class is only ever looked up among those this process has anyway: the
ones given with `models=[...]`, the modules already imported, and the ones this IO manager has itself stored.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from flowstone.io.codecs.attributes import Slots, slots_of
from flowstone.io.codecs.codec import CodecError
from flowstone.io.codecs.generics import TypeName, find_type, is_parametrised, name_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import TypeAdapter

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
        self._slots: WeakKeyDictionary[type, Slots] = WeakKeyDictionary()
        # As many as there are such types; each holds its own.
        self._adapters: dict[type, TypeAdapter[Any]] = {}
        self._type_names: WeakKeyDictionary[Any, TypeName] = WeakKeyDictionary()

    def name(self, cls: type) -> str:
        """The name under which `find` finds `cls`, in this process or another."""
        name = _name(cls)
        self._stored[name] = cls
        return name

    def reference(self, cls: type) -> TypeName:
        """What `find` finds `cls` by: its name, or the parts of a parametrised class.

        Raises:
            CodecError: It has arguments that cannot be found again.
        """
        return self.type_name(cls) if is_parametrised(cls) else self.name(cls)

    def type_name(self, found: Any) -> TypeName:
        """The parts of a parametrised type, for `type_of`. Raises `CodecError` if they do not lead back to it."""
        name = self._type_names.get(found)
        if name is None:
            name = name_type(found, self.name)
            try:
                same = self.type_of(name) == found
            except Exception:
                same = False
            if not same:
                raise CodecError(
                    f"its type {found!r:.80} cannot be put together again from its parts",
                    "give the type a name of its own: class Orders(Page[Order]): ...",
                )
            self._type_names[found] = name
        return name

    def type_of(self, name: TypeName) -> Any:
        """The type of these parts. Raises `CodecError` if one is not in this process."""
        return find_type(name, lambda part: self.find(part, lambda _: True))

    def adapter(self, cls: type) -> TypeAdapter[Any]:
        """What pydantic reads and writes values of `cls` with: it takes long to make."""
        found = self._adapters.get(cls)
        if found is None:
            from pydantic import TypeAdapter  # noqa: PLC0415 - only a type that is made for pydantic comes here

            found = self._adapters[cls] = TypeAdapter(cls)
        return found

    def slots(self, cls: type) -> Slots:
        """The slots of a class, looked for once."""
        found = self._slots.get(cls)
        if found is None:
            found = self._slots[cls] = slots_of(cls)
        return found

    def shape(self, cls: type, describe: Callable[[type], str]) -> str:
        """What `describe` says of a class, asked once: a value may hold a million instances."""
        found = self._shapes.get(cls)
        if found is None:
            found = self._shapes[cls] = describe(cls)
        return found

    def find(self, name: TypeName, is_wanted: Callable[[type], bool]) -> type:
        """The class of that name that satisfies `is_wanted`.

        Raises:
            CodecError: There is none in this process.
        """
        if not isinstance(name, str):
            return self._find_parametrised(name, is_wanted)
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

    def _find_parametrised(self, name: TypeName, is_wanted: Callable[[type], bool]) -> type:
        for given in self._given.values():
            if is_parametrised(given) and is_wanted(given) and self.type_name(given) == name:
                return given
        found = self.type_of(name)
        if isinstance(found, type) and is_wanted(found):
            return found
        raise CodecError(f"{found!r:.80} is not the class it was", "materialize it again")

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
